"""How ``uv`` is called: which program, and with which environment."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import msgspec

_SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_INDEX_PATIENCE = 4.0
_LOCK_SECONDS = 3600
_NOT_FOR_CHILDREN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


class Uv(msgspec.Struct, frozen=True):
    """The server environment's own uv: its command, and the environment it runs in."""

    command: list[str]
    environment: dict[str, str]


def find_uv() -> Uv:
    """Find uv, to be run quietly, never fetching a Python, trusting the system's certificates. Blocks."""
    program = Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv")
    command = [str(program)] if program.exists() else [sys.executable, "-m", "uv"]
    environment = clean_environment(os.environ)
    environment.update({"UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1", "UV_NO_WRAP": "1"})
    # Another server or checkout may be building the same package: waiting for it is better than building it again.
    environment.setdefault("UV_LOCK_TIMEOUT", str(_LOCK_SECONDS))
    if os.name == "nt" or sys.platform == "darwin" or any(Path(path).exists() for path in _SYSTEM_CERTIFICATES):
        # A company's own certificate authority is in the system's store and not in uv's. Older uv reads the second.
        environment.setdefault("UV_SYSTEM_CERTS", "1")
        environment.setdefault("UV_NATIVE_TLS", "1")
    return Uv(command, environment)


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what concerns only the server: its settings (and keys) and its own Python."""
    return {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith("MILLRACE_") and name not in _NOT_FOR_CHILDREN
    }


def index_is_usable(url: str) -> bool:
    """Whether a package index answers within a few seconds; one that is no web address is left to uv. Blocks."""
    if not url.startswith(("http://", "https://")):
        return True
    try:
        with urllib.request.urlopen(url, timeout=_INDEX_PATIENCE):
            return True
    except urllib.error.HTTPError as error:
        return error.code == 404  # many indexes have no page of their own above those of their packages
    except (OSError, ValueError):
        return False
