"""The shapes of OpenAI chat completions, whole and in chunks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from llamachat.engine.log_probabilities import Candidate, LogProbability
from llamachat.engine.request import Delta, Finish

FINISH_REASONS = {"completed": "stop", "length": "length", "cancelled": "cancelled"}
"""Stop reason of the engine → finish reason. OpenAI has no word for cancelled, so that one is ours."""

Completion = dict[str, Any]


def usage_of(finish: Finish) -> dict[str, Any]:
    """Return the usage object: tokens of prompt and reply, how many were remembered, how many spent on thinking."""
    return {
        "prompt_tokens": finish.prompt_tokens,
        "completion_tokens": finish.completion_tokens,
        "total_tokens": finish.prompt_tokens + finish.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": finish.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": finish.reasoning_tokens},
    }


class ReplyParts:
    """What a whole reply consists of: the answer, the thinking before it, and the answer's log-probabilities."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._entries: list[dict[str, Any]] = []

    def add(self, delta: Delta) -> None:
        """Take what has come next."""
        (self._reasoning if delta.reasoning else self._texts).append(delta.text)
        if not delta.reasoning:
            self._entries.extend(map(_entry, delta.log_probabilities))

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._texts)

    @property
    def reasoning(self) -> str:
        """The thinking so far; empty when there was none."""
        if len(self._reasoning) > 1:
            self._reasoning = ["".join(self._reasoning)]
        return self._reasoning[0] if self._reasoning else ""

    @property
    def logprobs(self) -> dict[str, Any]:
        """OpenAI's ``logprobs`` object: one entry for each token of the answer."""
        return {"content": self._entries}


class CompletionShaper:
    """Turns what the engine yields into completions with one id and one creation time."""

    def __init__(self, model_name: str, *, with_logprobs: bool = False) -> None:
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = model_name
        self._with_logprobs = with_logprobs

    def chunks(self, events: Iterable[Delta | Finish]) -> Iterator[Completion]:
        """Yield ``chat.completion.chunk`` objects; the last carries the finish reason, usage and timing."""
        yield self._chunk({"role": "assistant", "content": ""})
        for event in events:
            if isinstance(event, Finish):
                last = self._chunk({}, FINISH_REASONS[event.reason])
                yield {**last, "usage": usage_of(event), "inference_ms": event.inference_ms}
            elif event.reasoning:
                yield self._chunk({"reasoning_content": event.text})
            else:
                yield self._chunk({"content": event.text}, entries=event.log_probabilities)

    def whole(self, events: Iterable[Delta | Finish]) -> Completion:
        """Return one ``chat.completion`` object when everything has arrived."""
        parts = ReplyParts()
        for event in events:
            if isinstance(event, Delta):
                parts.add(event)
                continue
            message = {"role": "assistant", "content": parts.text}
            if parts.reasoning:
                message["reasoning_content"] = parts.reasoning
            choice = {
                "index": 0,
                "message": message,
                "logprobs": parts.logprobs if self._with_logprobs else None,
                "finish_reason": FINISH_REASONS[event.reason],
            }
            return {
                **self._frame("chat.completion"),
                "choices": [choice],
                "usage": usage_of(event),
                "inference_ms": event.inference_ms,
            }
        raise RuntimeError("the engine ended a reply without saying why")

    def _chunk(
        self, delta: dict[str, str], finish_reason: str | None = None, entries: Iterable[LogProbability] = ()
    ) -> Completion:
        told = {"content": [_entry(entry) for entry in entries]} if self._with_logprobs and "content" in delta else None
        choice = {"index": 0, "delta": delta, "logprobs": told, "finish_reason": finish_reason}
        return {**self._frame("chat.completion.chunk"), "choices": [choice]}

    def _frame(self, kind: str) -> Completion:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


def _entry(told: LogProbability) -> dict[str, Any]:
    return {**_candidate(told.chosen), "top_logprobs": [_candidate(candidate) for candidate in told.likeliest]}


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {"token": candidate.text, "logprob": candidate.log_probability, "bytes": list(candidate.data)}
