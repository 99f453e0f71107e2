"""``--run``: the server in the foreground, a first chat to show that it works, and its addresses."""

from __future__ import annotations

from pathlib import Path

from . import ports
from . import settings as server_settings
from .greeting import MODULE, CutShortError, Greeting
from .http_client import HttpClient
from .layout import Layout
from .progress import InstallError, Progress
from .server_process import ServerProcess, StopRequests, ended_as_asked
from .settings import ServerSettings

ADDRESSES = """
Millrace is running; Ctrl-C stops it.

  In a browser   {url}/
  With curl      curl -F prompt="What is a module?" {url}/v1/text/chat
                 curl -F commandId=ID {url}/v1/LlamaChat/get_command_status
  HTTP API       {url}/v1/   (described in docs/http-api.md)
  Log            {log}
"""


def run(layout: Layout, progress: Progress, port: int | None) -> int:
    """Run the server until it ends or the user stops it; returns the exit code. Raises InstallError."""
    stop = StopRequests()
    with stop.listening():
        settings = server_settings.ask(layout, port)
        ports.ensure_free(settings)
        progress.say(f"==> Starting the server at {settings.url}/")
        command: list[str | Path] = [layout.python, "-m", "server", *server_settings.server_flags(port)]
        server = ServerProcess(command, layout.root, progress)
        stop.forward_to(server)
        try:
            _greet(server, stop, settings, progress)
            return _serve(server, stop, progress)
        except InstallError as error:
            raise InstallError(f"{error}\n{_where_to_look(server, settings)}") from error
        finally:
            # Whatever happened above: no server without its installer.
            if server.wait(0) is None:
                if not stop.made:
                    stop.request()
                server.finish()


def _greet(server: ServerProcess, stop: StopRequests, settings: ServerSettings, progress: Progress) -> None:
    def pause(seconds: float) -> bool:
        return server.wait(seconds) is None and not stop.made

    greeting = Greeting(HttpClient(settings.url, settings.key), progress, pause)
    try:
        if greeting.wait_until_ready() and greeting.can_chat():
            greeting.chat()
        else:
            progress.say(f"    There is no {MODULE} that chats here, so there is nobody to say hello.")
    except CutShortError:
        return
    progress.say(ADDRESSES.format(url=settings.url, log=settings.data / "logs" / "millrace.log"))


def _serve(server: ServerProcess, stop: StopRequests, progress: Progress) -> int:
    server.show()
    while server.wait(0.1) is None and not stop.made:
        pass
    if stop.made:
        progress.say("\nStopping the server; once more means at once.")
    code = server.finish()
    # After a second wish the server drops everything, and its exit code says so.
    if stop.count > 1 or (stop.made and ended_as_asked(code)):
        progress.say("Stopped.")
        return 0
    raise InstallError(f"The server ended with exit code {code}.")


def _where_to_look(server: ServerProcess, settings: ServerSettings) -> str:
    said = server.last_lines()
    printed = f"\nThe last lines the server printed:\n{said}\n" if said else ""
    return f"{printed}\nThe server's log: {settings.data / 'logs' / 'millrace.log'}"
