"""The conversation of a request, whichever way it was sent: prompt, messages, or history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from llamachat.engine.errors import RequestRefusedError

from .json_field import is_blank, read_json

ROLES = ("system", "user", "assistant", "tool")


class _Said(TypedDict):
    role: str
    content: str


class Message(_Said, total=False):
    """One thing that was said; ``role`` is system, user, assistant or tool.

    ``reasoning_content``: what the assistant thought before; most templates leave it out of the prompt.
    """

    reasoning_content: str


def build_conversation(
    prompt: str | None = None,
    *,
    system_prompt: str | None = None,
    messages: Any = None,
    history: Any = None,
) -> list[Message]:
    """Return the messages that the model continues, ending with the user's.

    ``messages`` is the whole conversation, ``history`` what came before ``prompt``; both may be JSON text or
    what it stands for. A system prompt goes first unless the messages begin with one.
    Raises ``RequestRefusedError``, naming the field.
    """
    said = [*_read_list("history", history), *_read_list("messages", messages)]
    if prompt is not None and prompt.strip():
        said.append({"role": "user", "content": prompt})
    elif is_blank(messages):
        raise RequestRefusedError("prompt is empty: send some text in the field prompt, or a list in messages.")
    if not said or said[-1]["role"] == "assistant" or all(message["role"] == "system" for message in said):
        raise RequestRefusedError("messages must end with what the user says, role user.")
    if system_prompt and system_prompt.strip() and said[0]["role"] != "system":
        said.insert(0, {"role": "system", "content": system_prompt})
    return said


def _read_list(field: str, value: Any) -> list[Message]:
    if is_blank(value):
        return []
    value = read_json(field, value)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise RequestRefusedError(f"{field} must be a JSON list.")
    said: list[Message] = []
    for number, entry in enumerate(value):
        said.extend(_read_entry(f"{field}[{number}]", entry))
    return said


def _read_entry(where: str, entry: Any) -> list[Message]:
    """Read one message, or one question with its answer."""
    if isinstance(entry, dict) and "role" in entry:
        return [_read_message(where, entry)]
    if isinstance(entry, dict) and "question" in entry:
        entry = [entry["question"], entry.get("answer")]
    if isinstance(entry, list | tuple) and len(entry) == 2 and isinstance(entry[0], str):
        question, answer = entry
        pair: list[Message] = [{"role": "user", "content": question}]
        if answer is None:
            return pair
        if isinstance(answer, str):
            return [*pair, {"role": "assistant", "content": answer}]
    raise RequestRefusedError(
        f"{where} must be {{role, content}}, a [question, answer] pair, or {{question, answer}}, with texts in it."
    )


def _read_message(where: str, entry: dict[str, Any]) -> Message:
    role = "system" if entry["role"] == "developer" else entry["role"]
    if role not in ROLES:
        raise RequestRefusedError(f"{where}.role must be one of {', '.join(ROLES)}, not {entry['role']!r}.")
    message: Message = {"role": role, "content": _read_content(where, entry.get("content"))}
    reasoning = entry.get("reasoning_content")
    if reasoning is not None and not isinstance(reasoning, str):
        raise RequestRefusedError(f"{where}.reasoning_content must be a text.")
    if reasoning and role == "assistant":
        message["reasoning_content"] = reasoning
    return message


def _read_content(where: str, content: Any) -> str:
    """Return a content's text; a list of text parts is joined."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise RequestRefusedError(f"{where}.content must be a text or a list of text parts.")
    texts = []
    for part in content:
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise RequestRefusedError(f"{where}.content has a part of type {kind!r}: this model reads only text.")
        texts.append(part["text"])
    return "".join(texts)
