"""What can go wrong, each with a text that a user can act on."""

from __future__ import annotations


class LlamaChatError(Exception):
    """Base of every error of this module; its text is shown to the user, ``code`` is for programs."""

    code = ""


class ModelUnavailableError(LlamaChatError):
    """There is no usable model: missing, damaged, or too large for this machine."""


class RequestRefusedError(LlamaChatError):
    """The request itself cannot be served: empty, too long, or with values out of range."""


class PromptTooLongError(RequestRefusedError):
    """The conversation is longer than the context; a shorter one would be served."""

    code = "context_length_exceeded"


class EngineStoppedError(LlamaChatError):
    """The engine has ended, by a crash or on purpose; the text is the reason."""
