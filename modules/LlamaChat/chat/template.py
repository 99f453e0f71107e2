"""From a conversation to the model's prompt, by the chat template that the model file carries."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import ModelUnavailableError, RequestRefusedError
from engine.model import Model
from jinja2.exceptions import TemplateError
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from .conversation import Message


class ChatTemplate:
    """A model's chat template; Jinja runs it in a sandbox, because a model file is somebody else's code."""

    def __init__(self, model: Model) -> None:
        """Raises ``ModelUnavailableError`` when the model has no usable template."""
        self._model = model
        source = model.chat_template
        if not source:
            raise ModelUnavailableError(
                f"The model file {model.path} has no chat template, so it cannot hold a conversation. "
                "Choose a model made for chat; its name often ends in Instruct, chat or it."
            )
        try:
            self._formatter = Jinja2ChatFormatter(template=source, eos_token=model.end_text, bos_token=model.start_text)
        except TemplateError as problem:
            raise ModelUnavailableError(f"The chat template of {model.path} is broken: {problem}") from problem

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        """Return the prompt after which the model says the assistant's next words.

        Raises ``RequestRefusedError`` when the template does not accept the conversation.
        """
        text = self._render(messages)
        start = self._model.start_text
        if self._model.adds_start_token and start and not text.startswith(start):
            text = start + text
        return self._model.tokenize(text)

    def _render(self, messages: Sequence[Message]) -> str:
        try:
            return self._try(messages)
        except (TemplateError, ValueError, TypeError) as problem:
            refusal = problem
        merged = _without_system(messages)
        if merged is not None:
            # Some models know no system role: their instructions then lead the user's first message.
            try:
                return self._try(merged)
            except (TemplateError, ValueError, TypeError) as problem:
                refusal = problem
        raise RequestRefusedError(f"The model's chat template does not accept this conversation: {refusal}")

    def _try(self, messages: Sequence[Message]) -> str:
        return str(self._formatter(messages=list(messages)).prompt)


def _without_system(messages: Sequence[Message]) -> list[Message] | None:
    """Return the messages with the system prompt joined to the first user message, None if there is none."""
    if len(messages) < 2 or messages[0]["role"] != "system" or messages[1]["role"] != "user":
        return None
    first: Message = {"role": "user", "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
    return [first, *messages[2:]]
