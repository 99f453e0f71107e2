"""Row ``one-at-a-time``: eight chats at once through Millrace beside ``llama_cpp.Llama``, which takes one by one."""

from __future__ import annotations

from pathlib import Path

from ..json_worker import JsonWorker
from ..options import interleaved
from ..processes import BenchmarkError, folder_of
from ..rows import Row
from .chat_stream import ChatSeen
from .many_chats import CONTEXT, ChatsSeen, ask_chats, compare, summarise
from .prompts import chat
from .servers import GREEDY, MillraceChat
from .setting import Setting

CHATS = 8
LLAMA = "llama_cpp.Llama, one by one"


class OneAtATime(JsonWorker):
    """``llama_cpp.Llama`` in LlamaChat's environment, with flash attention as the others have it."""

    def __init__(self, python: Path, model: Path, threads: int) -> None:
        script = folder_of("peers") / "llama_cpp_app.py"
        super().__init__([str(python), str(script), str(model), str(CONTEXT), str(threads)])

    def ask_chats(self, seed: str, chats: int, tokens: int) -> ChatsSeen:
        """Answer the chats in order, as if all had been asked for at once. Raises ``BenchmarkError``."""
        messages = [chat(f"{seed}/{number}") for number in range(chats)]
        answers = self.ask({"chats": messages, "tokens": tokens, "sampling": GREEDY})
        if wrong := [answer["reason"] for answer in answers if answer["reason"] != "length"]:
            raise BenchmarkError(f"{LLAMA}: replies ended with {wrong} instead of length")
        return summarise(
            [
                ChatSeen(
                    first=answer["first"], ended=answer["ended"], tokens=tokens, prompt_tokens=0, cached=0, text=""
                )
                for answer in answers
            ]
        )


def measure(setting: Setting) -> list[Row]:
    """Measure all rounds. Raises ``BenchmarkError``."""
    ours = MillraceChat(setting, CHATS, CONTEXT)
    seen: dict[str, list[ChatsSeen]] = {ours.name: [], LLAMA: []}
    with ours, OneAtATime(setting.module_python, setting.model, setting.threads) as llama:
        ask_chats(ours, setting, "warm-up/one", CHATS)
        llama.ask_chats("warm-up/one", 1, setting.tokens)
        for name in interleaved(setting.options, list(seen)):
            seed = f"one at a time/{len(seen[name])}"
            if name == ours.name:
                found = ask_chats(ours, setting, seed, CHATS)
            else:
                found = llama.ask_chats(seed, CHATS, setting.tokens)
            seen[name].append(found)
            setting.options.say(f"{CHATS} chats, {name}: {found}")
    return compare("llama/one-at-a-time", seen[ours.name], LLAMA, seen[LLAMA])
