"""``--run``: the server in the foreground, from its start until somebody stops it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from . import ports
from . import settings as server_settings
from .http_client import HttpClient
from .layout import Layout
from .module_states import CutShortError, ModuleStates
from .options import Options
from .progress import InstallError, Progress
from .server_process import ServerProcess, StopRequests, ended_as_asked
from .settings import ServerSettings
from .welcome import Welcome


def run(layout: Layout, progress: Progress, options: Options, repository: str | None = None) -> int:
    """Run the server until it ends or the user stops it; returns the exit code.

    ``repository`` is where to download a model from while it runs. Raises InstallError when there is no server.
    """
    stop = StopRequests()
    with stop.listening():
        settings = server_settings.ask(layout, options.port)
        ports.ensure_free(settings)
        progress.say(f"==> Starting the server at {settings.url}/")
        command: list[str | Path] = [layout.python, "-m", "server", *server_settings.server_flags(options.port)]
        server = ServerProcess(command, layout.root, progress)
        stop.forward_to(server)

        def pause(seconds: float) -> bool:
            return server.wait(seconds) is None and not stop.made

        states = ModuleStates(HttpClient(settings.url, settings.key), progress, pause)
        try:
            with contextlib.suppress(CutShortError):
                Welcome(layout, progress, settings, states).say(repository, options.instance)
            return _serve(server, stop, progress)
        except InstallError as error:
            raise InstallError(f"{error}\n{_where_to_look(server, settings)}") from error
        finally:
            # Whatever happened above: no server without its installer.
            if server.wait(0) is None:
                if not stop.made:
                    stop.request()
                server.finish()


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
