"""Whether the server's port and data folder are free, and who has them when they are not."""

from __future__ import annotations

import socket

from .commands import install
from .http_client import HttpClient, NoAnswerError
from .layout import WINDOWS
from .progress import InstallError
from .settings import ServerSettings


def ensure_free(settings: ServerSettings) -> None:
    """Raises InstallError, with a way out, when the port cannot be listened on or the data folder has a server."""
    if settings.occupied:
        raise InstallError(settings.occupied)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            if not WINDOWS:  # there it would mean "even when somebody listens"
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise InstallError(_refusal(settings, error)) from error


def _refusal(settings: ServerSettings, error: OSError) -> str:
    other = settings.port + 1 if settings.port < 65535 else settings.port - 1
    return (
        f"Port {settings.port} of {settings.host} cannot be used: {error.strerror or error}.\n"
        f"{_who(settings)}Stop what uses it, or choose another port:\n\n"
        f"  {install('--run', '--port', str(other))}"
    )


def _who(settings: ServerSettings) -> str:
    try:
        HttpClient(settings.url).get("/v1/status/ping", patience=2)
    except NoAnswerError:
        return ""
    return f"An AI server answers there already, perhaps Millrace itself: {settings.url}/\n"
