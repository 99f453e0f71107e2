"""Clients that chat with a real server in every way: polling, streaming, leaving, cancelling, asking nonsense."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp

from . import mixed_texts

SENDERS = 16
_LIMIT = aiohttp.ClientTimeout(total=120)
_FINAL = ("result", "error", "cancelled")

NONSENSE: tuple[tuple[dict[str, str], str], ...] = (
    ({"prompt": ""}, "prompt is empty"),
    ({"prompt": "水🌾 " * 6000}, "too long"),
    ({"prompt": "x", "temperature": "hot"}, "temperature"),
    ({"prompt": "x", "max_tokens": "-1"}, "max_tokens"),
    ({"prompt": "x", "seed": "1.5"}, "seed"),
    ({"prompt": "x", "top_logprobs": "5"}, "top_logprobs"),
    ({"prompt": "x", "logit_bias": '{"99999999": 1}'}, "logit_bias"),
    ({"prompt": "x", "stop": json.dumps(["."] * 17)}, "stop"),
    ({"prompt": "x", "response_format": '{"type": "poem"}'}, "response_format"),
    ({"prompt": "x", "response_format": json.dumps({"type": "grammar", "grammar": "root ::= nothing"})}, "grammar"),
    ({"messages": '[{"role": "user"'}, "messages"),
)
"""Requests that must be refused, and what the refusal must name."""


class Load:
    """Sixteen clients for eight places, so that some wait. ``counts``: what was done, ``faults``: what was wrong."""

    def __init__(self, url: str, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._url = url
        self._dice = random.Random(seed)
        self._asked = iter(range(1 << 60))

    async def run(self, seconds: float) -> None:
        """Go on for so long, then let every client come to the end of what it does."""
        until = asyncio.get_running_loop().time() + seconds
        async with aiohttp.ClientSession(timeout=_LIMIT) as session:
            await asyncio.gather(*(self._client(session, until) for _ in range(SENDERS)))

    @property
    def requests(self) -> int:
        """How many requests for a chat were sent."""
        return sum(self.counts[name] for name in ("polled", "streamed", "left", "cancelled", "refused", "half sent"))

    async def _client(self, session: aiohttp.ClientSession, until: float) -> None:
        ways = (self._poll, self._poll, self._follow, self._follow, self._leave, self._cancel, self._nonsense)
        while asyncio.get_running_loop().time() < until:
            number = next(self._asked)
            way = self._half_send if number % 50 == 49 else self._dice.choice(ways)
            await way(session)
            await asyncio.sleep(self._dice.uniform(0, 0.2))

    # --- the ways to use the server -----------------------------------------------------------------------

    async def _poll(self, session: aiohttp.ClientSession) -> None:
        command_id, seen = await self._submit(session, self._chat()), ""
        while command_id is not None:
            answer = await self._ask(session, command_id)
            if answer["commandStatus"] != "running":
                self._judge("polled", answer, seen)
                return
            seen = self._grown(seen, answer.get("reply") or "")
            await asyncio.sleep(0.05)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        async with self._stream(session, self._chat()) as answer:
            text, ended = "", False
            async for kind, data in _events(answer):
                ended = kind in _FINAL
                text += data.get("text", "")
                if ended:
                    self._judge("streamed", data.get("result") or data, text, whole=True)
            if not ended:
                self._fault("a stream closed without its last event")

    async def _leave(self, session: aiohttp.ClientSession) -> None:
        """Read a few pieces, or nothing at all, and close the connection; the server goes on without."""
        pieces = self._dice.randrange(4)
        async with self._stream(session, self._chat()) as answer:
            command_id = answer.headers["X-Command-Id"]
            async for kind, _ in _events(answer):
                pieces -= kind == "delta"
                if pieces <= 0 or kind in _FINAL:
                    break
            answer.close()
        self._judge("left", await self._ended(session, command_id), "")

    async def _cancel(self, session: aiohttp.ClientSession) -> None:
        endless = {"prompt": mixed_texts.text(self._dice, 2), "max_tokens": "0", "ignore_eos": "true"}
        command_id = await self._submit(session, endless)
        if command_id is None:
            return
        await asyncio.sleep(self._dice.choice((0.0, 0.05, 0.5)))
        async with session.post(f"{self._url}/v1/commands/{command_id}/cancel") as answer:
            await answer.read()
        last = await self._ended(session, command_id)
        if last.get("stop_reason") != "cancelled":
            self._fault(f"a cancelled chat ended otherwise: {str(last)[:200]}")
        self.counts["cancelled"] += 1

    async def _nonsense(self, session: aiohttp.ClientSession) -> None:
        fields, named = self._dice.choice(NONSENSE)
        body = await self._post(session, "text/chat", fields)
        command_id = body.get("commandId")
        last = body if command_id is None else await self._ended(session, str(command_id))
        if last.get("success") is not False or named not in str(last.get("error")):
            self._fault(f"{named} was not refused: {str(last)[:200]}")
        self.counts["refused"] += 1

    async def _half_send(self, session: aiohttp.ClientSession) -> None:
        """Promise a long form and close the connection in the middle of it."""
        host, port = self._url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/text/chat HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5000\r\n"
        writer.write(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nprompt=half".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        self.counts["half sent"] += 1

    # --- what they are made of ------------------------------------------------------------------------------

    def _chat(self) -> dict[str, str]:
        dice = self._dice
        fields = {
            "prompt": mixed_texts.text(dice, dice.choice((1, 1, 2, 4, 12))),
            "max_tokens": str(dice.choice((1, 8, 40, 120))),
            "temperature": dice.choice(("0", "0", "0.8", "1.5")),
        }
        if (system := dice.choice(mixed_texts.SYSTEMS)) is not None:
            fields["system_prompt"] = system
        if dice.random() < 0.3:
            fields["stop"] = json.dumps(dice.sample(mixed_texts.STOPS, 2))
        if dice.random() < 0.2:
            turns = [[mixed_texts.text(dice, 1), mixed_texts.text(dice, 1)] for _ in range(dice.randint(1, 3))]
            fields["history"] = json.dumps(turns)
        if dice.random() < 0.1:
            fields["logprobs"] = "true"
        if dice.random() < 0.1:
            fields["response_format"] = '{"type": "json_object"}'
        return fields

    def _stream(self, session: aiohttp.ClientSession, fields: dict[str, str]) -> Any:
        headers = {"Accept": "text/event-stream"}
        return session.post(f"{self._url}/v1/text/chat", data=fields, headers=headers)

    async def _submit(self, session: aiohttp.ClientSession, fields: dict[str, str]) -> str | None:
        body = await self._post(session, "text/chat", fields)
        if "commandId" not in body:
            self._fault(f"not accepted: {str(body)[:200]}")
            return None
        return str(body["commandId"])

    async def _ask(self, session: aiohttp.ClientSession, command_id: str) -> dict[str, Any]:
        return await self._post(session, "LlamaChat/get_command_status", {"commandId": command_id})

    async def _ended(self, session: aiohttp.ClientSession, command_id: str) -> dict[str, Any]:
        while True:
            answer = await self._ask(session, command_id)
            if answer["commandStatus"] != "running":
                return answer
            await asyncio.sleep(0.05)

    async def _post(self, session: aiohttp.ClientSession, path: str, fields: dict[str, str]) -> dict[str, Any]:
        async with session.post(f"{self._url}/v1/{path}", data=fields) as answer:
            body: dict[str, Any] = await answer.json()
            return body

    # --- judging ----------------------------------------------------------------------------------------------

    def _judge(self, way: str, last: dict[str, Any], seen: str, *, whole: bool = False) -> None:
        """The end of a chat must be a good one, with the text that was seen while it grew."""
        self.counts[way] += 1
        reply = str(last.get("reply"))
        if not last.get("success") or last.get("stop_reason") not in ("completed", "length"):
            self._fault(f"{way}, but it ended with {str(last)[:300]}")
        elif reply != seen if whole else not reply.startswith(seen):
            self._fault(f"{way}, and saw {seen[-80:]!r} of {reply[-80:]!r}")
        else:
            self.counts["tokens"] += last["usage"]["completion_tokens"]

    def _grown(self, before: str, now: str) -> str:
        if not now.startswith(before):
            self._fault(f"a reply changed from {before[-80:]!r} to {now[-80:]!r}")
        return now

    def _fault(self, what: str) -> None:
        self.faults.append(what)


async def _events(answer: aiohttp.ClientResponse) -> Any:
    """Yield kind and data of each event of a stream."""
    kind = ""
    async for raw in answer.content:
        name, _, value = raw.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def thirds(values: list[int]) -> Iterator[int]:
    """Return the median of each third of a series."""
    size = len(values) // 3
    for start in (0, size, len(values) - size):
        part = sorted(values[start : start + size])
        yield part[len(part) // 2]
