"""Row ``scaling``: total tokens a second of 1 to 32 chats at once, and the curve of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ..options import interleaved
from ..rows import Row, make_row
from .environments import run_text
from .many_chats import CONTEXT, ask_chats
from .one_at_a_time import LLAMA, OneAtATime
from .servers import LlamaServer, MillraceChat
from .setting import Setting

CHATS = (1, 2, 4, 8, 16, 32)
Ask = Callable[[str, int], float]


def measure(setting: Setting) -> list[Row]:
    """Measure all rounds, and draw the curve if a place for it was named. Raises ``BenchmarkError``."""
    seen: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as running:
        ours = running.enter_context(MillraceChat(setting, CHATS[-1], CONTEXT))
        peer = running.enter_context(LlamaServer(setting, CHATS[-1], CONTEXT))
        llama = running.enter_context(OneAtATime(setting.module_python, setting.model, setting.threads))
        asked: dict[str, Ask] = {
            ours.name: lambda seed, chats: ask_chats(ours, setting, seed, chats).rate,
            peer.name: lambda seed, chats: ask_chats(peer, setting, seed, chats).rate,
            LLAMA: lambda seed, chats: llama.ask_chats(seed, chats, setting.tokens).rate,
        }
        for ask in asked.values():
            ask("warm-up/scaling", 2)
        for chats in CHATS:
            for name in interleaved(setting.options, list(asked)):
                rates = seen.setdefault((name, chats), [])
                rates.append(asked[name](f"scaling/{chats}/{len(rates)}", chats))
                setting.options.say(f"{chats} chats, {name}: {rates[-1]:.1f} tokens/s")
    if setting.options.plot is not None:
        _draw(setting, seen, setting.options.plot)
    return [
        make_row(f"llama/scaling/{chats}{suffix}", "tokens/s", seen[ours.name, chats], name, seen[name, chats])
        for name, suffix in ((peer.name, ""), (LLAMA, "/llama_cpp.Llama"))
        for chats in CHATS
    ]


def _draw(setting: Setting, seen: dict[tuple[str, int], list[float]], target: Path) -> None:
    """Draw the curve, in the tools' environment because only it has matplotlib."""
    curves: dict[str, dict[int, list[float]]] = {}
    for (name, chats), rates in seen.items():
        curves.setdefault(name, {})[chats] = rates
    script = Path(__file__).with_name("draw.py")
    run_text([str(setting.tools_python), str(script), str(target), json.dumps(curves)])
    setting.options.say(f"the curve is in {target}")
