"""``download_model.py`` against a hub on this machine."""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path

import pytest

from tests.support.hub_standin import HubFile, HubStandIn
from tests.support.llamachat_worker import MODULE, Ended, run, start

REPO = "mill/tiny"
CONTENT = b"GGUF" + random.Random(0).randbytes(3_000)
# huggingface_hub writes 10 MiB at a time, so only a larger file can stop in the middle.
WRITTEN_AT_ONCE = 10 * 1024 * 1024
LARGE = b"GGUF" + random.Random(1).randbytes(WRITTEN_AT_ONCE + 2_000_000)

# The library goes on by itself after so many silent seconds, which a busy machine may take.
PATIENT = {"HF_HUB_DOWNLOAD_TIMEOUT": "60"}


def environment(hub: HubStandIn, tmp_path: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0", "HF_TOKEN": "", **PATIENT}


def command(model: str, tmp_path: Path) -> list[str | Path]:
    folders: list[str | Path] = ["--data-dir", tmp_path / "data", "--model-dir", tmp_path / "models"]
    return [MODULE / "download_model.py", model, *folders]


async def download(hub: HubStandIn, model: str, tmp_path: Path) -> Ended:
    return await run(*command(model, tmp_path), environment=environment(hub, tmp_path))


def chosen(tmp_path: Path) -> dict[str, str]:
    settings = json.loads((tmp_path / "data" / "modulesettings.json").read_text("utf-8"))
    variables: dict[str, str] = settings["Modules"]["LlamaChat"]["EnvironmentVariables"]
    return variables


def in_models(tmp_path: Path) -> list[str]:
    """What a user sees in the model folder."""
    return [path.name for path in (tmp_path / "models").iterdir() if not path.name.startswith(".")]


async def test_the_named_file_is_downloaded_and_chosen(tmp_path: Path) -> None:
    files = {"tiny-Q4_K_M.gguf": HubFile(b"GGUF other"), "tiny-Q8_0.gguf": HubFile(CONTENT)}
    async with HubStandIn({REPO: files}) as hub:
        ended = await download(hub, f"{REPO}:tiny-Q8_0.gguf", tmp_path)
    assert ended.code == 0, ended.stderr
    assert (tmp_path / "models" / "tiny-Q8_0.gguf").read_bytes() == CONTENT
    assert "100 %" in ended.stdout
    variables = chosen(tmp_path)
    assert variables["CPAI_MODULE_LLAMA_MODEL_FILENAME"] == "@tiny-Q8_0.gguf"
    assert variables["CPAI_MODULE_LLAMA_MODEL_REPO"] == f"@{REPO}"
    assert variables["CPAI_MODULE_LLAMA_MODEL_DIR"] == str(tmp_path / "models")


async def test_without_a_file_the_preferred_quantisation_is_taken(tmp_path: Path) -> None:
    names = ["a-F16.gguf", "a-Q8_0.gguf", "a-Q4_K_M.gguf", "mmproj-a-Q4_K_M.gguf", "README.md"]
    async with HubStandIn({REPO: {name: HubFile(b"GGUF" + name.encode()) for name in names}}) as hub:
        ended = await download(hub, REPO, tmp_path)
    assert ended.code == 0, ended.stderr
    assert in_models(tmp_path) == ["a-Q4_K_M.gguf"]


async def test_all_parts_of_a_split_model_are_downloaded(tmp_path: Path) -> None:
    parts = [f"Q4_K_M/big-Q4_K_M-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    async with HubStandIn({REPO: {part: HubFile(b"GGUF" + part.encode()) for part in parts}}) as hub:
        ended = await download(hub, REPO, tmp_path)
    assert ended.code == 0, ended.stderr
    assert all((tmp_path / "models" / part).is_file() for part in parts)
    assert chosen(tmp_path)["CPAI_MODULE_LLAMA_MODEL_FILENAME"] == f"@{parts[0]}"


async def test_a_split_model_with_a_part_missing_is_refused(tmp_path: Path) -> None:
    async with HubStandIn({REPO: {"big-00001-of-00002.gguf": HubFile(b"GGUF")}}) as hub:
        ended = await download(hub, REPO, tmp_path)
    assert ended.code == 1
    assert "big-00002-of-00002.gguf" in ended.stderr


async def test_a_cut_connection_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    async with HubStandIn({REPO: {"a.gguf": HubFile(LARGE)}}, cut_after=[WRITTEN_AT_ONCE + 1_000_000]) as hub:
        ended = await download(hub, REPO, tmp_path)
        ranges = hub.ranges
    assert ended.code == 0, ended.stderr
    assert (tmp_path / "models" / "a.gguf").read_bytes() == LARGE
    assert ranges == [None, f"bytes={WRITTEN_AT_ONCE}-"]


async def test_a_killed_download_goes_on_with_the_next_command(tmp_path: Path) -> None:
    async with HubStandIn({REPO: {"a.gguf": HubFile(LARGE)}}, hold_after=WRITTEN_AT_ONCE + 1_000_000) as hub:
        process = await start(*command(REPO, tmp_path), environment=environment(hub, tmp_path))
        try:
            await asyncio.wait_for(hub.held.wait(), 60)
            part = await wait_for_part(tmp_path / "models", WRITTEN_AT_ONCE)
        finally:
            process.kill()
            await process.communicate()
        kept = part.stat().st_size
        assert not (tmp_path / "models" / "a.gguf").exists()

        hub.hold_after = None
        ended = await download(hub, REPO, tmp_path)
        assert ended.code == 0, ended.stderr
        assert hub.ranges == [None, f"bytes={kept}-"]
    assert in_models(tmp_path) == ["a.gguf"]
    assert (tmp_path / "models" / "a.gguf").read_bytes() == LARGE


async def wait_for_part(folder: Path, size: int) -> Path:
    """Return the unfinished download once it has at least so many bytes on disk."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = large_part(folder, size)
        if found is not None:
            return found
        await asyncio.sleep(0.02)
    raise TimeoutError(f"no part of a download with {size} bytes in {folder}")


def large_part(folder: Path, size: int) -> Path | None:
    return next((part for part in folder.glob("*.part") if part.stat().st_size >= size), None)


async def test_two_downloads_at_once_give_one_right_file(tmp_path: Path) -> None:
    """The first is held in its middle until the second has begun; it waits, and finds the file there."""
    async with HubStandIn({REPO: {"a.gguf": HubFile(LARGE)}}, hold_after=WRITTEN_AT_ONCE + 1_000_000) as hub:
        first = await start(*command(REPO, tmp_path), environment=environment(hub, tmp_path))
        await asyncio.wait_for(hub.held.wait(), 60)
        hub.hold_after = None
        second = asyncio.create_task(download(hub, REPO, tmp_path))
        await asyncio.wait_for(hub.asked_again.wait(), 60)
        hub.go_on.set()
        out, err = await asyncio.wait_for(first.communicate(), 60)
        ended = await second
        assert hub.ranges == [None]
    assert first.returncode == 0, err
    assert ended.code == 0, ended.stderr
    assert b"100 %" in out
    assert (tmp_path / "models" / "a.gguf").read_bytes() == LARGE
    assert in_models(tmp_path) == ["a.gguf"]


async def test_a_login_page_is_no_beginning_of_a_model(tmp_path: Path) -> None:
    async with HubStandIn({REPO: {"a.gguf": HubFile(CONTENT)}}, pages=1) as hub:
        ended = await download(hub, REPO, tmp_path)
        assert ended.code == 1
        assert "is a web page" in ended.stderr
        assert "log in if it asks" in ended.stderr
        assert in_models(tmp_path) == []
        ended = await download(hub, REPO, tmp_path)
        assert ended.code == 0, ended.stderr
        assert hub.ranges == [None]
    assert (tmp_path / "models" / "a.gguf").read_bytes() == CONTENT


async def test_a_page_that_an_earlier_version_kept_is_no_beginning_either(tmp_path: Path) -> None:
    file = HubFile(CONTENT)
    kept = tmp_path / "models" / f"a.gguf.{file.sha256[:12]}.part"
    await asyncio.to_thread(kept.parent.mkdir)
    await asyncio.to_thread(kept.write_bytes, b"<html>log in</html>")
    async with HubStandIn({REPO: {"a.gguf": file}}) as hub:
        ended = await download(hub, REPO, tmp_path)
        assert hub.ranges == [None]
    assert ended.code == 0, ended.stderr
    assert (tmp_path / "models" / "a.gguf").read_bytes() == CONTENT


async def test_a_hub_behind_a_login_page_is_told_in_words(tmp_path: Path) -> None:
    async with HubStandIn({REPO: {"a.gguf": HubFile(CONTENT)}}, portal=True) as hub:
        ended = await download(hub, REPO, tmp_path)
        assert ended.code == 1
        assert f"{hub.url} cannot be asked: what answered is a web page" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_second_download_asks_for_no_bytes(tmp_path: Path) -> None:
    async with HubStandIn({REPO: {"a.gguf": HubFile(CONTENT)}}) as hub:
        assert (await download(hub, REPO, tmp_path)).code == 0
        assert (await download(hub, REPO, tmp_path)).code == 0
        assert len(hub.ranges) == 1


async def test_a_wrong_checksum_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    async with HubStandIn({REPO: {"a.gguf": HubFile(CONTENT, announced="0" * 64)}}) as hub:
        ended = await download(hub, REPO, tmp_path)
    assert ended.code == 1
    assert "checksum" in ended.stderr
    assert in_models(tmp_path) == []
    assert not (tmp_path / "data").exists()


async def test_what_is_no_gguf_is_refused(tmp_path: Path) -> None:
    async with HubStandIn({REPO: {"a.gguf": HubFile(b"<html>not a model</html>")}}) as hub:
        ended = await download(hub, REPO, tmp_path)
    assert ended.code == 1
    assert "not a GGUF file" in ended.stderr
    assert in_models(tmp_path) == []


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("mill/unknown", "no public model repository mill/unknown"),
        (f"{REPO}:b.gguf", "has no file b.gguf. It has: a.gguf"),
        ("not a name", "neither a file here nor the name of a repository"),
    ],
)
async def test_what_does_not_exist_is_named(tmp_path: Path, model: str, said: str) -> None:
    async with HubStandIn({REPO: {"a.gguf": HubFile(CONTENT)}}) as hub:
        ended = await download(hub, model, tmp_path)
    assert ended.code == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_an_unreachable_hub_is_named(tmp_path: Path) -> None:
    async with HubStandIn({}) as hub:
        unreachable = hub
    ended = await download(unreachable, REPO, tmp_path)
    assert ended.code == 1
    assert f"download from the repository {REPO} failed" in ended.stderr
    assert "Traceback" not in ended.stderr
