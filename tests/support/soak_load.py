"""The mixed load of a soak: everything that clients do all day, on one server, by clients that check what they get."""

from __future__ import annotations

import asyncio
import io
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp

from .chaos_follower import FINAL, Follower

_UPLOAD = b"\xff\xd8" + b"picture " * 400_000
"""More than fits into the memory of the request: it goes over the disk."""
_LISTS = ["/v1/commands?limit=50", "/v1/commands?brief=1&limit=100", "/v1/module/list/status", "/v1/log/list?count=50"]


class SoakLoad:
    """Clients that go on until they are stopped. ``latencies``: seconds of the quick commands since they were taken."""

    def __init__(self, url: str, dice: random.Random) -> None:
        self._url = url
        self._dice = dice
        self._tasks: list[asyncio.Task[None]] = []
        self._live: dict[str, Follower] = {}
        self._made = 0
        self._stopping = False
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.latencies: list[float] = []

    async def start(self, session: aiohttp.ClientSession) -> None:
        """Begin."""
        self._session = session
        works: list[Callable[[], Awaitable[None]]] = [self._quick, self._quick, *[self._chat] * 4]
        works += [self._upload, self._poll, self._list]
        self._tasks = [asyncio.create_task(self._again(work)) for work in works]

    async def stop(self, seconds: float = 60.0) -> None:
        """Begin nothing more, and wait for what has begun."""
        self._stopping = True
        _, pending = await asyncio.wait(self._tasks, timeout=seconds)
        for task in pending:
            task.cancel()
            self.faults.append("a client has not come to its end")
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def taken_latencies(self) -> list[float]:
        """The latencies since this was called last, sorted."""
        taken, self.latencies = sorted(self.latencies), []
        return taken

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping:
            try:
                await work()
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError) as error:
                self.faults.append(f"{work.__name__.strip('_')}: {error!r}")
                await asyncio.sleep(1)

    async def _quick(self) -> None:
        token = f"q{self._next()}"
        began = time.perf_counter()
        answer = await self._post("/v1/talker/echo", token=token)
        self.latencies.append(time.perf_counter() - began)
        self._expect("quick commands", answer.get("values") == {"token": token}, answer)
        await asyncio.sleep(0.05)

    async def _upload(self) -> None:
        form = aiohttp.FormData()
        form.add_field("image", io.BytesIO(_UPLOAD), filename="a.jpg", content_type="image/jpeg")
        async with self._session.post(self._url + "/v1/talker/echo", data=form) as sent:
            answer = await sent.json()
        self._expect("uploads", answer.get("sizes") == [len(_UPLOAD)], answer)
        await asyncio.sleep(1)

    async def _list(self) -> None:
        async with self._session.get(self._url + self._dice.choice(_LISTS)) as answer:
            self._expect("lists", answer.status == 200 and bool(await answer.json()), answer.status)
        await asyncio.sleep(0.5)

    async def _poll(self) -> None:
        if self._live:
            command_id, follower = self._dice.choice(sorted(self._live.items()))
            answer = await self._post("/v1/Talker/get_command_status", commandId=command_id)
            follower.judge(answer.get("reply") or "", "a poll")
            self._expect("polls", "commandStatus" in answer, answer)
        await asyncio.sleep(0.2)

    async def _chat(self) -> None:
        """One long command: followed, left and rejoined, sometimes cancelled."""
        follower = Follower(f"c{self._next()}:", self._dice.randint(50, 250))
        pause = self._dice.choice([0.01, 0.02, 0.05])
        words = len(follower.expected.split())
        answer = await self._post("/v1/talker/count", name=follower.name, to=words, pause=pause)
        command_id = str(answer.get("commandId"))
        self._expect("chats", "commandId" in answer, answer)
        self._live[command_id] = follower
        cancel_at = self._dice.randint(1, words) if self._dice.random() < 0.15 else None
        while follower.end is None:
            leave_at = follower.last_seq + self._dice.randint(5, 200)
            async for seq, kind, data in self._stream(command_id, follower.last_seq):
                follower.take(seq, kind, data)
                if cancel_at is not None and seq > cancel_at:
                    cancel_at = None
                    await self._post("/v1/Talker/cancel_command", commandId=command_id)
                    self.counts["cancels"] += 1
                if kind in FINAL or seq > leave_at:
                    break
            self.counts["times a follower left"] += 1
        del self._live[command_id]
        self.counts["events"] += follower.received
        self.faults += follower.faults

    async def _stream(self, command_id: str, after: int) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        async with self._session.get(f"{self._url}/v1/commands/{command_id}/events", headers=headers) as answer:
            if answer.status != 200:
                raise ValueError(f"{command_id} cannot be followed: {answer.status}")
            block: dict[str, str] = {}
            async for raw in answer.content:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if value and name:
                    block[name] = value
                elif not value and block:
                    yield int(block["id"]), block["event"], json.loads(block["data"])
                    block = {}

    async def _post(self, path: str, **values: Any) -> dict[str, Any]:
        form = {name: str(value) for name, value in values.items()}
        async with self._session.post(self._url + path, data=form) as answer:
            body: dict[str, Any] = await answer.json(content_type=None)
            return body

    def _next(self) -> int:
        self._made += 1
        return self._made

    def _expect(self, what: str, right: bool, answer: object) -> None:
        self.counts[what] += 1
        if not right:
            self.faults.append(f"{what}: {answer!r}"[:300])
