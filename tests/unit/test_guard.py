"""Who is let in by which key, name and page; each kind with the request that once got through."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.http import api_keys
from server.http.guard import GUARD
from server.http.key_attempts import BURST, MAX_ADDRESSES, KeyAttempts
from server.http.key_file import KeyFileError, add_key, read_keys, remove_keys
from server.http.sessions import MAX_OF_ONE_KEY
from tests.support.api_server import ApiServer, Client, running_api

KEYS = {"key-a": "ann", "key-b": "bob"}
ANN = {"X-API-Key": "key-a"}
Api = tuple[ApiServer, Client]


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path, api_keys=KEYS, administrators=["ann"]) as api:
        yield api


async def status(client: Client, path: str = "/v1/commands", method: str = "GET", **headers: str) -> int:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.request(method, path, headers=sent) as answer:
        return answer.status


# --- keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 401),
        ({"Authorization": "Bearer key-a"}, 200),
        ({"Authorization": "bearer  key-a "}, 200),
        ({"Authorization": "Basic key-a"}, 401),
        ({"X-API-Key": "key-b"}, 200),
        ({"X-API-Key": ""}, 401),
        ({"Authorization": "Bearer ", "X-API-Key": "key-b"}, 200),
        ({"X-API-Key": "key-"}, 401),
        ({"X-API-Key": "k\xffy"}, 401),
    ],
)
async def test_a_valid_key_in_a_header_lets_in(keyed: Api, headers: dict[str, str], expected: int) -> None:
    async with keyed[1].get("/v1/commands", headers=headers) as answer:
        assert answer.status == expected


async def test_without_keys_any_key_is_ignored(tmp_path: Path) -> None:
    async with running_api(tmp_path) as (_, client):
        assert [await status(client, X_API_Key="whatever") for _ in range(BURST + 5)] == [200] * (BURST + 5)


async def test_wrong_keys_are_slowed_down_and_right_ones_are_not(keyed: Api) -> None:
    _, client = keyed
    assert await status(client, X_API_Key="key-a") == 200
    assert await status(client, X_API_Key="") == 401
    seen = [await status(client, X_API_Key=f"wrong-{number}") for number in range(BURST + 5)]
    assert (seen[:BURST], seen[-1]) == ([401] * BURST, 429)
    assert await status(client, X_API_Key="key-a") == 200, "it was right here before"
    async with client.get("/v1/commands", headers={"X-API-Key": "key-b"}) as answer:
        assert (answer.status, int(answer.headers["Retry-After"]) >= 1) == (429, True)
    assert await status(client) == 401


def test_wrong_keys_are_forgiven_with_time_and_the_table_is_bounded() -> None:
    now = [100.0]
    attempts = KeyAttempts(lambda: now[0])
    for _ in range(BURST):
        assert attempts.wait("10.0.0.1", "x") == 0
        attempts.wrong("10.0.0.1")
    assert attempts.wait("10.0.0.1", "x") == pytest.approx(1)
    assert attempts.wait("::ffff:10.0.0.1", "x") == pytest.approx(1)
    assert attempts.wait("10.0.0.2", "x") == 0
    now[0] += 1
    assert attempts.wait("10.0.0.1", "x") == 0
    for _ in range(BURST):
        attempts.wrong("2001:db8::1")
    assert attempts.wait("2001:db8::2", "x") > 0, "one network, one guesser"
    for number in range(MAX_ADDRESSES):
        attempts.wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert attempts.wait("2001:db8::2", "x") == 0


async def test_an_allowed_address_needs_no_key_and_guesses_none(tmp_path: Path) -> None:
    async with running_api(tmp_path, api_keys=KEYS, allowed_addresses=["127.0.0.0/8"]) as (_, client):
        assert await status(client) == 200
        assert {await status(client, X_API_Key="wrong") for _ in range(BURST + 5)} == {200}
        async with client.get("/v1/whoami", headers=ANN) as answer:
            assert (await answer.json())["owner"] == "ann"


# --- the key file -------------------------------------------------------------------------------------


def test_a_key_file_holds_hashes_only_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys.json"
    first, second = add_key(path, "ann", True), add_key(path, "ann", False)
    add_key(path, "bob", False)
    text = path.read_text()
    assert first != second
    assert not [key for key in (first, second) if key in text]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [(key.owner, key.administrator) for key in read_keys(path)] == [
        ("ann", True),
        ("ann", False),
        ("bob", False),
    ]
    assert (remove_keys(path, "ann"), remove_keys(path, "ann")) == (2, 0)
    path.write_text('{"keys": [{"owner": 5}]}')
    with pytest.raises(KeyFileError, match=re.escape(str(path))):
        read_keys(path)


async def test_keys_are_taken_up_and_dropped_while_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "LOOK_SECONDS", 0.01)
    path = tmp_path / "keys.json"
    async with running_api(tmp_path) as (server, client):
        assert await status(client) == 200
        key = await asyncio.to_thread(add_key, path, "ann", True)
        await _until(client, 401)
        assert await status(client, X_API_Key=key) == 200
        async with client.get("/v1/whoami", headers={"X-API-Key": key}) as answer:
            assert (await answer.json())["administrator"] is True
        await asyncio.to_thread(path.write_text, "{")
        await _until(client, 401, X_API_Key=key)
        assert await status(client) == 401, "what cannot be read lets nobody in"
        assert [entry for entry in server.log.after(0, 100) if "cannot be read" in entry.entry]
        await asyncio.to_thread(path.unlink)
        await _until(client, 200)


async def _until(client: Client, expected: int, **headers: str) -> None:
    got = 0
    while got != expected:  # pytest's time limit ends it
        got = await status(client, **headers)


# --- pages and names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:3000"}, 200),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "cross-site"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "file://"}, 403),
        ({"Origin": "file://localhost"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://evil.example", "Host": "evil.example"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://\xe9\xff"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Host": "evil.example:32168"}, 403),
        ({"Host": "\xe9\xff"}, 403),
        ({"Host": "nas.local:32168"}, 200),
        ({"Host": "NAS.lan."}, 200),
        ({"Host": "host.docker.internal"}, 200),
        ({"Host": "192.168.1.7:32168"}, 200),
        ({"Host": "[fe80::1]:32168"}, 200),
        ({"Host": "192.168.1.7.evil.example"}, 403),
        ({"Host": "local"}, 403),
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_foreign_pages_and_names_change_nothing(
    tmp_path: Path, host: str, headers: dict[str, str], expected: int
) -> None:
    settings: dict[str, Any] = {"host": host, "allowed_addresses": ["127.0.0.1"]}
    async with running_api(tmp_path, **settings) as (_, client):
        for method, path in (("POST", "/v1/log"), ("GET", "/v1/demo/list")):
            async with client.request(method, path, headers=headers, data=b"") as answer:
                got = 403 if answer.status == 403 else 200  # what else is wrong with them is not the guard's to say
                assert (got, "error" in await answer.json()) == (expected, True), (method, path)


async def test_a_key_in_a_header_opens_every_name_but_no_foreign_page(keyed: Api) -> None:
    _, client = keyed
    assert await status(client, Host="ai.example.com", X_API_Key="key-a") == 200
    assert await status(client, "/v1/log", "POST", Host="ai.example.com", X_API_Key="key-a") == 200
    assert await status(client, "/v1/log", "POST", Origin="http://evil.example", X_API_Key="key-a") == 403
    async with client.get("/v1/commands", headers={"Host": "ai.example.com"}) as answer:
        assert "allowed_hosts" in (await answer.json())["error"]


async def test_allowed_hosts_may_be_patterns(tmp_path: Path) -> None:
    async with running_api(tmp_path, allowed_hosts=["ai.example.com", "*.example.org"]) as (_, client):
        names = {"ai.example.com": 200, "AI.example.com:80": 200, "a.b.example.org": 200, "example.org": 403}
        for name, expected in {**names, "ai.example.com.evil.example": 403}.items():
            assert await status(client, Host=name) == expected, name


PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


async def test_a_preflight_is_refused_by_default(keyed: Api) -> None:
    async with keyed[1].options("/v1/demo/quick", headers={"Origin": "https://a.example.com", **PREFLIGHT}) as answer:
        assert (answer.status >= 400, "Access-Control-Allow-Origin" in answer.headers) == (True, False)


@pytest.mark.parametrize("origin", ["https://app.example.com", "app://obsidian.md", "https://x.trusted.example"])
async def test_pages_of_allowed_origins_may_ask_and_read(tmp_path: Path, origin: str) -> None:
    allowed = ["https://app.example.com/", "app://obsidian.md", "https://*.trusted.example"]
    async with running_api(tmp_path, api_keys=KEYS, allowed_origins=allowed) as (_, client):
        async with client.options("/v1/demo/quick", headers={"Origin": origin, **PREFLIGHT}) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, origin)
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
            assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert int(answer.headers["Access-Control-Max-Age"]) > 0
            assert "Origin" in answer.headers["Vary"]
        for path, headers in (("/v1/commands", ANN), ("/v1/commands", {}), ("/v1/nothing", ANN)):
            async with client.get(path, headers={"Origin": origin, **headers}) as answer:
                assert answer.headers["Access-Control-Allow-Origin"] == origin
        async with client.post("/v1/log", headers={"Origin": origin, **ANN}) as answer:
            assert answer.status == 200
        for foreign in ("https://evil.example", "https://app.example.com.evil.example", "null", ""):
            async with client.get("/v1/commands", headers={"Origin": foreign, **ANN}) as answer:
                assert "Access-Control-Allow-Origin" not in answer.headers
            assert await status(client, "/v1/log", "POST", Origin=foreign, X_API_Key="key-a") == 403


async def test_any_origin_may_be_allowed_but_never_with_cookies(tmp_path: Path) -> None:
    async with (
        running_api(tmp_path, api_keys=KEYS, allowed_origins=["*"]) as (_, client),
        client.post("/v1/log", headers={"Origin": "https://\xe9.example", **ANN}) as answer,
    ):
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
        assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_stream_can_be_read_by_an_allowed_page(tmp_path: Path) -> None:
    async with running_api(tmp_path, allowed_origins=["https://a.example.com"]) as (server, client):
        headers = {"Origin": "https://a.example.com", "Accept": "text/event-stream"}
        async with client.post("/v1/demo/quick", headers=headers) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example.com"
            assert "X-Command-Id" in answer.headers["Access-Control-Expose-Headers"]
            await server.finish(await server.claim())
            assert b"event: result" in await answer.read()


async def test_no_web_page_gets_to_the_routes_of_modules(tmp_path: Path) -> None:
    async with running_api(tmp_path, allowed_origins=["*"]) as (_, client):
        for headers in ({"Origin": "https://a.example.com"}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": ""}):
            for method, path in (("GET", "/v1/queue/demo_queue?moduleId=Demo"), ("POST", "/v1/queue/abc")):
                async with client.request(method, path, headers=headers) as answer:
                    assert answer.status == 403


# --- the log-in ---------------------------------------------------------------------------------------


async def test_a_page_logs_in_once_and_out_again(keyed: Api) -> None:
    server, client = keyed
    async with client.get("/v1/whoami") as answer:
        assert ((await answer.json())["keyNeeded"], answer.headers["Cache-Control"]) == (True, "no-store")
    async with client.post("/v1/login", json={"key": "wrong"}) as answer:
        assert (answer.status, "Set-Cookie" in answer.headers) == (401, False)
    async with client.post("/v1/login", json={"key": "key-a"}) as answer:
        assert (answer.status, (await answer.json())["owner"]) == (200, "ann")
        cookie = answer.headers["Set-Cookie"]
    assert [word in cookie for word in ("HttpOnly", "SameSite=Strict", "Secure", "key-a")] == [True, True, False, False]
    host = f"{client.host}:{client.port}"
    jar = {"Cookie": cookie.partition(";")[0]}
    async with client.get("/v1/whoami", headers=jar) as answer:
        told = await answer.json()
        assert [told[name] for name in ("owner", "way", "administrator", "keyNeeded")] == [
            "ann",
            "session",
            True,
            False,
        ]
    assert await status(client, **jar) == 200
    effects = {
        200: [{"Origin": f"http://{host}"}, {"Sec-Fetch-Site": "same-origin"}],
        403: [{}, {"Origin": "http://127.0.0.1:1"}, {"Sec-Fetch-Site": "none"}, {"Origin": "null"}],
    }
    for expected, variants in effects.items():
        for headers in variants:
            async with client.post("/v1/log", headers={**jar, **headers}) as answer:
                assert answer.status == expected, headers
    async with client.post("/v1/logout", headers={**jar, "Origin": f"http://{host}"}) as answer:
        assert answer.status == 200
    assert await status(client, **jar) == 401
    kept = await asyncio.to_thread((server.settings.data_dir / "sessions.json").read_text)
    assert cookie.partition("=")[2].partition(";")[0] not in kept


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"key=key-b", 200),
        (b'{"key": "key-b"}', 200),
        (b'{"key": 5}', 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"a":' * 3000, 400),
        (b'{"key": "\\ud800"}', 400),
        (b"key=%ED%A0%80", 400),
        (b"", 401),
        (b"x" * 20_000, 413),
    ],
)
async def test_what_a_log_in_may_send(keyed: Api, body: bytes, expected: int) -> None:
    async with keyed[1].post("/v1/login", data=body) as answer:
        assert (answer.status, (await answer.json())["success"]) == (expected, expected == 200)


async def test_a_log_in_lasts_over_a_restart_and_ends_with_its_key(tmp_path: Path) -> None:
    async with (
        running_api(tmp_path, api_keys=KEYS) as (_, client),
        client.post("/v1/login", data={"key": "key-b"}, headers={"X-Forwarded-Proto": "https"}) as answer,
    ):
        cookie = answer.headers["Set-Cookie"]
        assert "Secure" in cookie
    jar = {"Cookie": cookie.partition(";")[0]}
    async with running_api(tmp_path, api_keys=KEYS) as (_, client):
        assert await status(client, **jar) == 200
    async with running_api(tmp_path, api_keys={"key-a": "ann"}) as (_, client):
        assert await status(client, **jar) == 401
    await asyncio.to_thread((tmp_path / "sessions.json").write_text, "no")
    async with running_api(tmp_path, api_keys=KEYS) as (server, client):
        assert await status(client, **jar) == 401
        assert [entry for entry in server.log.after(0, 100) if "logs in again" in entry.entry]


async def test_log_ins_expire_and_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.http.sessions.MAX_SESSIONS", 2)
    async with running_api(tmp_path, api_keys=KEYS) as (server, client):
        sessions = server.app[GUARD].sessions
        tokens = [await sessions.begin("digest") for _ in range(3)]
        assert len(set(tokens)) == 3
        async with client.post("/v1/login", data={"key": "key-a"}) as answer:
            jar = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
        assert await status(client, **jar) == 200
    async with running_api(tmp_path, api_keys=KEYS, session_lifetime=-1.0) as (_, client):
        async with client.post("/v1/login", data={"key": "key-a"}) as answer:
            jar = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
        assert await status(client, **jar) == 401


async def test_logging_in_often_logs_nobody_else_out(keyed: Api) -> None:
    server, client = keyed
    sessions = server.app[GUARD].sessions
    async with client.post("/v1/login", data={"key": "key-a"}) as answer:
        jar = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
    for _ in range(MAX_OF_ONE_KEY + 1):
        await sessions.begin("another's digest")
    assert len(sessions._open) == MAX_OF_ONE_KEY + 1
    assert await status(client, **jar) == 200


async def test_without_keys_nobody_needs_to_log_in(tmp_path: Path) -> None:
    async with running_api(tmp_path) as (_, client):
        async with client.post("/v1/login", json={"key": "whatever"}) as answer:
            told = await answer.json()
        assert (told["owner"], told["keyNeeded"], told["way"]) == ("anonymous", False, "local")
