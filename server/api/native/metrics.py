"""``GET /metrics``: how the server fares, as Prometheus reads it. No label says whose a command is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ... import __version__
from ...commands.command import LIVE, Command, CommandState
from ...commands.dispatcher import Dispatcher
from ...commands.tally import ModuleTally
from ...histogram import Histogram
from ...hosting.host import ModuleHost
from ...hosting.state import State
from ...http.audience import Audience, declare
from ...http.connections import Connections
from ...http.request_log import RequestLog
from ...loop_lag import LoopLag

_LIMITS = {408: "time", 413: "body_size", 429: "rate", 431: "header_size", 507: "disk"}
"""The statuses that say that a limit was hit, and which."""


class Metrics:
    """The route, and the collector of the figures behind it."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        host: ModuleHost,
        connections: Connections,
        requests: RequestLog,
        lag: LoopLag,
    ) -> None:
        self._dispatcher = dispatcher
        self._tally = dispatcher.tally
        self._host = host
        self._connections = connections
        self._requests = requests
        self._lag = lag

    def add_to(self, app: web.Application) -> None:
        """Register the route."""
        declare(app, "GET", "/metrics", self._answer, Audience.WATCHER)

    async def _answer(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        registry = CollectorRegistry()
        registry.register(_Taken(await self._families()))
        ProcessCollector(registry=registry)
        body = await asyncio.to_thread(encode, registry)  # it reads the process's figures from files
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _families(self) -> list[Metric]:
        commands = await self._dispatcher.all_records()
        return [
            *_of_commands(self._tally.modules),
            *_of_times(self._tally.modules),
            *_of_queues(commands, self._dispatcher.clock.now()),
            *self._of_modules(),
            *self._of_http(),
            _histogram("millrace_loop_lag_seconds", "How late the event loop is", [], [([], self._lag.histogram)]),
        ]

    def _of_modules(self) -> Iterator[Metric]:
        states = GaugeMetricFamily("millrace_module_state", "1 for the state it is in", labels=["module", "state"])
        for status in self._host.statuses():
            for state in State:
                states.add_metric([status.module_id, state.value], float(status.state == state.value))
        yield states
        yield GaugeMetricFamily(
            "millrace_accepting", "1 while new commands are taken", float(self._dispatcher.accepting)
        )
        build = GaugeMetricFamily("millrace_build_info", "Which version this is", labels=["version"])
        build.add_metric([__version__], 1)
        yield build

    def _of_http(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("millrace_http_requests", "Requests by status", labels=["status"])
        limits = CounterMetricFamily("millrace_limits_hit", "How often a limit was hit", labels=["limit"])
        for status, count in sorted(self._requests.answered.items()):
            requests.add_metric([str(status)], count)
        for status, limit in _LIMITS.items():
            limits.add_metric([limit], self._requests.answered[status])
        limits.add_metric(["connections"], self._connections.refused + self._connections.displaced)
        yield requests
        yield limits
        yield GaugeMetricFamily("millrace_connections", "Open connections", self._connections.count)


class _Taken(Collector):
    """Figures that were taken on the event loop."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._families


def _of_commands(modules: dict[str, ModuleTally]) -> Iterator[Metric]:
    ended = CounterMetricFamily("millrace_commands", "Ended commands", labels=["module", "state", "reason"])
    refused = CounterMetricFamily("millrace_commands_refused", "Never accepted", labels=["module", "reason"])
    pieces = CounterMetricFamily("millrace_text_pieces", "Pieces of text; of chats mostly tokens", labels=["module"])
    characters = CounterMetricFamily("millrace_text_characters", "Characters of text", labels=["module"])
    for module_id, tally in modules.items():
        for (state, reason), count in tally.ended.items():
            ended.add_metric([module_id, state, reason], count)
        for reason, count in tally.refused.items():
            refused.add_metric([module_id, reason], count)
        pieces.add_metric([module_id], tally.pieces)
        characters.add_metric([module_id], tally.characters)
    yield from (ended, refused, pieces, characters)


def _of_times(modules: dict[str, ModuleTally]) -> Iterator[Metric]:
    for name, text in (
        ("queued", "From its acceptance to its start"),
        ("running", "From its start to its end"),
        ("first_text", "From its acceptance to its first text"),
    ):
        samples = [([module_id], getattr(tally, name)) for module_id, tally in modules.items()]
        yield _histogram(f"millrace_command_{name}_seconds", f"{text}, of each command", ["module"], samples)


def _of_queues(commands: list[Command], now: float) -> Iterator[Metric]:
    live = Counter((command.module_id, command.state.value) for command in commands if command.state in LIVE)
    waiting = [command for command in commands if command.state is CommandState.QUEUED]
    lengths = Counter(command.queue for command in waiting)
    since: dict[str, float] = {}
    for command in waiting:
        since[command.queue] = min(command.created_at, since.get(command.queue, command.created_at))
    states = GaugeMetricFamily("millrace_commands_live", "Commands that have not ended", labels=["module", "state"])
    length = GaugeMetricFamily("millrace_queue_length", "Commands that wait", labels=["queue"])
    age = GaugeMetricFamily("millrace_queue_age_seconds", "How long the first has waited", labels=["queue"])
    for (module_id, state), count in live.items():
        states.add_metric([module_id, state], count)
    for queue, count in lengths.items():
        length.add_metric([queue], count)
        age.add_metric([queue], max(0.0, now - since[queue]))
    yield from (states, length, age)


def _histogram(name: str, text: str, labels: list[str], samples: list[tuple[list[str], Histogram]]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, histogram in samples:
        buckets, seen = [], 0
        for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
            seen += count
            buckets.append((bound, float(seen)))
        family.add_metric(values, buckets, histogram.total)
    return family
