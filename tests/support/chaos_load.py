"""The load under which things are killed: long commands that are followed, polled and cancelled, and quick ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from .chaos_follower import FINAL, Follower

PAUSE = 0.05
_DOWN = (aiohttp.ClientError, OSError, asyncio.TimeoutError)
_LIMIT = aiohttp.ClientTimeout(total=60, sock_connect=5)


class Load:
    """Clients that go on whatever happens, and what they saw."""

    def __init__(self, url: str, dice: random.Random) -> None:
        self.url = url
        self.followers: dict[str, Follower] = {}
        self.counts: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.faults: list[str] = []
        self.named: set[str] = set()
        """Commands of which the server has said that something is lost: all of it may be, but not pass for whole."""
        self._dice = dice
        self._made = 0
        self._stopping = False
        self._live: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, session: aiohttp.ClientSession, long: int = 6, quick: int = 2) -> None:
        """Begin: so many clients with long commands, so many with quick ones, one that polls."""
        self._session = session
        works = [self._long_client() for _ in range(long)] + [self._quick_client() for _ in range(quick)]
        self._tasks = [asyncio.create_task(work) for work in [*works, self._polling_client()]]

    async def drain(self, seconds: float) -> None:
        """Submit no more, and wait until everything that was accepted has ended."""
        self._stopping = True
        _, pending = await asyncio.wait(self._tasks, timeout=seconds)
        for task in pending:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def wait_for_events(self, count: int, seconds: float) -> None:
        """Wait until so many more events have arrived: the load flows again."""
        goal = self.events + count
        deadline = asyncio.get_running_loop().time() + seconds
        while self.events < goal:
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"only {self.events} of {goal} events arrived within {seconds:g} s")
            await asyncio.sleep(PAUSE)

    @property
    def events(self) -> int:
        """How many events have arrived."""
        return sum(follower.received for follower in self.followers.values())

    async def ended_records(self, seconds: float) -> dict[str, dict[str, Any]]:
        """Return every long command that the server knows, by id, when all have ended or the time has passed."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            records = await self._records()
            ended = all(record["ended_at"] is not None for record in records.values())
            if ended or asyncio.get_running_loop().time() > deadline:
                return records
            await asyncio.sleep(PAUSE)

    async def _records(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        while True:
            page = await self._get(f"/v1/commands?offset={len(found)}&limit=100")
            found.update({record["id"]: record for record in page["commands"]})
            if not page["commands"] or len(found) >= page["total"]:
                return {command_id: record for command_id, record in found.items() if record["long"]}

    # --- the clients --------------------------------------------------------------------------------

    async def _long_client(self) -> None:
        while not self._stopping:
            follower = self._new_follower()
            command_id = await self._submit(follower)
            if command_id is None:
                continue
            self.followers[command_id] = follower
            self._live.add(command_id)
            cancelling = asyncio.create_task(self._cancel_perhaps(command_id))
            await self._follow(command_id, follower)
            self._live.discard(command_id)
            cancelling.cancel()
            await asyncio.gather(cancelling, return_exceptions=True)
            await self._look_back(command_id, follower)

    def _new_follower(self) -> Follower:
        self._made += 1
        return Follower(f"c{self._made}:", self._dice.randint(10, 90))

    async def _submit(self, follower: Follower) -> str | None:
        words = len(follower.expected.split())
        pause = self._dice.choice([0.0, 0.005, 0.02, 0.05])
        route = self._dice.choice(["count", "count", "again"])
        body = await self._post(f"/v1/talker/{route}", name=follower.name, to=words, pause=pause)
        if body is None:
            self.counts["asked while the server was down"] += 1
        elif "commandId" not in body:
            self.counts["refused"] += 1
            await asyncio.sleep(PAUSE)
        else:
            self.counts["accepted"] += 1
            return str(body["commandId"])
        return None

    async def _follow(self, command_id: str, follower: Follower) -> None:
        while follower.end is None:
            if command_id in self.named and await self._is_over(command_id):
                return
            try:
                async for seq, kind, data in self._stream(command_id, follower.last_seq):
                    follower.take(seq, kind, data)
                    if kind in FINAL:
                        break
            except _DOWN:
                await asyncio.sleep(PAUSE)
            if follower.end is None:
                self.counts["came back"] += 1

    async def _is_over(self, command_id: str) -> bool:
        record = await self._get(f"/v1/commands/{command_id}")
        return record.get("ended_at", 0) is not None

    async def _stream(self, command_id: str, after: int) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        url = f"{self.url}/v1/commands/{command_id}/events"
        async with self._session.get(url, headers=headers, timeout=_LIMIT) as answer:
            if answer.status != 200:
                await asyncio.sleep(PAUSE)
                return
            block: dict[str, str] = {}
            async for raw in answer.content:
                line = raw.decode().rstrip("\n")
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    block[name] = value
                elif not line and block:
                    yield int(block["id"]), block["event"], json.loads(block["data"])
                    block = {}

    async def _look_back(self, command_id: str, follower: Follower) -> None:
        """What the server keeps must be what was seen: its record, its text and its events."""
        record = await self._get(f"/v1/commands/{command_id}")
        kept = await self._get(f"/v1/commands/{command_id}/events?after=0")
        if command_id in self.named:
            if record.get("state") == "completed" and record["text"] != follower.expected:
                self.faults.append(f"{follower.name} looks whole, with {(record['text'] or '')[-40:]!r} at its end")
            self.ends[f"{record.get('state', 'set aside')}, named as damaged"] += 1
            return
        if "state" not in record:
            follower.faults.append(f"{follower.name} is not known any more: {record}")
            follower.lost += 1
            return
        state, reason = record["state"], record["reason"]
        self.ends[state if reason is None else f"{state} ({reason})"] += 1
        follower.judge(record["text"] or "", "the record")
        follower.compare(kept["events"])

    async def _cancel_perhaps(self, command_id: str) -> None:
        if self._dice.random() > 0.15:
            return
        await asyncio.sleep(self._dice.uniform(0, 1.5))
        if await self._post("/v1/Talker/cancel_command", commandId=command_id) is not None:
            self.counts["cancels"] += 1

    async def _quick_client(self) -> None:
        while not self._stopping:
            self._made += 1
            token = f"q{self._made}:"
            body = await self._post("/v1/talker/echo", token=token)
            if body is None:
                self.counts["quick, asked while the server was down or cut off"] += 1
            elif not body.get("success"):
                self.counts[f"quick, failed ({body.get('reason') or body.get('code')})"] += 1
            elif body["values"] != {"token": token}:
                self.counts["foreign"] += 1
                self.faults.append(f"{token} was answered {body['values']}")
            else:
                self.counts["quick, answered"] += 1
            await asyncio.sleep(PAUSE)

    async def _polling_client(self) -> None:
        while not self._stopping:
            await asyncio.sleep(PAUSE)
            if not self._live:
                continue
            command_id = self._dice.choice(sorted(self._live))
            body = await self._post("/v1/Talker/get_command_status", commandId=command_id)
            if body is not None and "reply" in body:
                self.counts["polls"] += 1
                self.followers[command_id].judge(body["reply"] or "", "a poll")

    async def _post(self, path: str, **values: Any) -> dict[str, Any] | None:
        """Return the answer; ``None`` when there was none."""
        form = {name: str(value) for name, value in values.items()}
        try:
            async with self._session.post(self.url + path, data=form, timeout=_LIMIT) as answer:
                body: dict[str, Any] = await answer.json(content_type=None)
                return body
        except (*_DOWN, ValueError):
            await asyncio.sleep(PAUSE)
            return None

    async def _get(self, path: str) -> Any:
        """Return the answer, asking again while the server is down."""
        while True:
            with contextlib.suppress(*_DOWN, ValueError):
                async with self._session.get(self.url + path, timeout=_LIMIT) as answer:
                    return await answer.json(content_type=None)
            await asyncio.sleep(PAUSE)
