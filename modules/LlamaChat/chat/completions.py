"""The shapes of OpenAI chat completions, whole and in chunks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from engine.request import Delta, Finish

FINISH_REASONS = {"completed": "stop", "length": "length", "cancelled": "cancelled"}
"""Stop reason of the engine → finish reason. OpenAI has no word for cancelled, so that one is ours."""

Completion = dict[str, Any]


def usage_of(finish: Finish) -> dict[str, Any]:
    """Return the usage object: tokens of prompt and reply, and how many of the prompt were remembered."""
    return {
        "prompt_tokens": finish.prompt_tokens,
        "completion_tokens": finish.completion_tokens,
        "total_tokens": finish.prompt_tokens + finish.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": finish.cached_tokens},
    }


class CompletionShaper:
    """Turns what the engine yields into completions with one id and one creation time."""

    def __init__(self, model_name: str) -> None:
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = model_name

    def chunks(self, events: Iterable[Delta | Finish]) -> Iterator[Completion]:
        """Yield ``chat.completion.chunk`` objects; the last carries the finish reason, usage and timing."""
        yield self._chunk({"role": "assistant", "content": ""})
        for event in events:
            if isinstance(event, Delta):
                yield self._chunk({"content": event.text})
            else:
                last = self._chunk({}, FINISH_REASONS[event.reason])
                yield {**last, "usage": usage_of(event), "inference_ms": event.inference_ms}

    def whole(self, events: Iterable[Delta | Finish]) -> Completion:
        """Return one ``chat.completion`` object when everything has arrived."""
        texts: list[str] = []
        for event in events:
            if isinstance(event, Delta):
                texts.append(event.text)
                continue
            message = {"role": "assistant", "content": "".join(texts)}
            choice = {"index": 0, "message": message, "finish_reason": FINISH_REASONS[event.reason]}
            return {
                **self._frame("chat.completion"),
                "choices": [choice],
                "usage": usage_of(event),
                "inference_ms": event.inference_ms,
            }
        raise RuntimeError("the engine ended a reply without saying why")

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> Completion:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**self._frame("chat.completion.chunk"), "choices": [choice]}

    def _frame(self, kind: str) -> Completion:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}
