"""What the server will do, asked of the server's own settings rather than guessed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .layout import Layout
from .processes import child_environment
from .progress import InstallError

# Runs in the server's environment, which has what reading the settings needs.
_ASK = """
import json, os, sys
from server.config import SettingsError, load_settings
from server.data_folder import occupied_by_another
try:
    settings, _ = load_settings(sys.argv[1:], os.environ)
except SettingsError as error:
    sys.exit(str(error))
print(json.dumps({"host": settings.host, "port": settings.port, "data": str(settings.data_dir),
                  "environments": str(settings.environments_folder),
                  "key": next(iter(settings.api_keys), ""), "occupied": occupied_by_another(settings.data_dir)}))
"""
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1", "": "127.0.0.1"}


@dataclass(frozen=True)
class ServerSettings:
    """The settings the installer needs: where the server listens, its folders, a key if it wants one.

    ``occupied`` says who uses the data folder already; empty when nobody does.
    """

    host: str
    port: int
    data: Path
    key: str
    environments: Path
    occupied: str = ""

    @property
    def url(self) -> str:
        """Address to call the server at from this machine, without a slash at its end."""
        host = _ANY_ADDRESS.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def server_flags(port: int | None) -> list[str]:
    """The server's command line for a port, or none."""
    return [] if port is None else ["--port", str(port)]


def ask(layout: Layout, port: int | None = None) -> ServerSettings:
    """The settings the server would start with. Raises InstallError with the server's own words."""
    answer = subprocess.run(
        [str(layout.python), "-c", _ASK, *server_flags(port)],
        cwd=layout.root,
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise InstallError(f"The server's settings cannot be used.\n{answer.stderr.strip()}")
    found = json.loads(answer.stdout)
    environments = Path(found["environments"])
    return ServerSettings(
        found["host"], found["port"], Path(found["data"]), found["key"], environments, found["occupied"]
    )
