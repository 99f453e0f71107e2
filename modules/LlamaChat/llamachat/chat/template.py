"""From a conversation to the model's prompt, by the chat template of the model file or the one that is set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from codeproject_ai_sdk.texts import read_text

from llamachat.engine.errors import ModelUnavailableError, RequestRefusedError
from llamachat.engine.model import Model

from .chat_formats import CHAT_FORMATS, ChatFormat
from .conversation import Message
from .reasoning import marks_of
from .template_sandbox import ChatTemplateError, SandboxedTemplate

SETTING = "CPAI_MODULE_LLAMA_CHAT_FORMAT"


class ChatTemplate:
    """A model's chat template. ``stop``: texts that end a reply beside those of a request.

    ``marks``: between which texts the model thinks; None for a model that does not, as far as its template tells.
    """

    def __init__(self, model: Model, chat_format: str = "") -> None:
        """``chat_format`` goes before the model's own template: a name of ``CHAT_FORMATS``, or a Jinja file.

        Raises ``ModelUnavailableError`` when there is no usable template.
        """
        self._model = model
        chosen = _chosen(model, chat_format)
        self.stop = chosen.stop
        self.marks = marks_of(chosen.template)
        try:
            self._template = SandboxedTemplate(chosen.template)
        except ChatTemplateError as problem:
            raise ModelUnavailableError(
                f"The chat template {chat_format or f'of {model.path}'} is broken: {problem}. {_choices()}"
            ) from problem
        for text in self.marks.texts if self.marks else ():
            model.reveal(text)

    def tokens(self, messages: Sequence[Message], reasoning: bool | None = None) -> list[int]:
        """Return the prompt after which the model says the assistant's next words.

        ``reasoning`` tells a template that has the choice whether the model should think first; None leaves it to
        the template. Raises ``RequestRefusedError`` when the template does not accept the conversation.
        """
        text = self._render(messages, {} if reasoning is None else dict.fromkeys(_REASONING_SWITCHES, reasoning))
        start = self._model.start_text
        if self._model.adds_start_token and start and not text.startswith(start):
            text = start + text
        return self._model.tokenize(text)

    def opens_reasoning(self, prompt: Sequence[int]) -> bool:
        """Whether the prompt ends with the mark that begins reasoning, so that the reply goes on inside it."""
        if self.marks is None:
            return False
        end = b"".join(map(self._model.piece, prompt[-_LONGEST_MARK:])).decode("utf-8", "replace")
        return self.marks.are_open_after(end)

    def _render(self, messages: Sequence[Message], switches: dict[str, bool]) -> str:
        try:
            return self._try(messages, switches)
        except ChatTemplateError as problem:
            refusal = problem
        merged = _without_system(messages)
        if merged is not None:
            # Some models know no system role: their instructions then lead the user's first message.
            try:
                return self._try(merged, switches)
            except ChatTemplateError as problem:
                refusal = problem
        raise RequestRefusedError(f"The model's chat template does not accept this conversation: {refusal}")

    def _try(self, messages: Sequence[Message], switches: dict[str, bool]) -> str:
        return self._template.render(
            messages=list(messages),
            add_generation_prompt=True,
            bos_token=self._model.start_text,
            eos_token=self._model.end_text,
            tools=None,
            **switches,
        )


_REASONING_SWITCHES = ("enable_thinking", "thinking")
"""What templates call the choice whether to think."""
_LONGEST_MARK = 64
"""In tokens; marks are a few characters."""


def _chosen(model: Model, chat_format: str) -> ChatFormat:
    if chat_format in CHAT_FORMATS:
        return CHAT_FORMATS[chat_format]
    if chat_format.endswith((".jinja", ".jinja2")):
        path = Path(model.path.parent, chat_format)
        try:
            return ChatFormat(read_text(path))
        except (OSError, ValueError) as problem:
            raise ModelUnavailableError(f"{SETTING}: the file {path} cannot be read: {problem}.") from problem
    if chat_format:
        raise ModelUnavailableError(f"{SETTING} is {chat_format!r}, which is not known. {_choices()}")
    if not model.chat_template:
        raise ModelUnavailableError(
            f"The model file {model.path} has no chat template, so it cannot hold a conversation. Choose a model made "
            f"for chat; its name often ends in Instruct, chat or it. If it is one: {_choices()}"
        )
    return ChatFormat(model.chat_template.removeprefix("\ufeff"))


def _choices() -> str:
    return f"Set {SETTING} to {', '.join(CHAT_FORMATS)}, or to the name of a .jinja file in the model's folder."


def _without_system(messages: Sequence[Message]) -> list[Message] | None:
    """Return the messages with the system prompt joined to the first user message, None if there is none."""
    if len(messages) < 2 or messages[0]["role"] != "system" or messages[1]["role"] != "user":
        return None
    first: Message = {"role": "user", "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
    return [first, *messages[2:]]
