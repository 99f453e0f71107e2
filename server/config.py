"""Server settings: defaults, then the settings file, then the environment, then flags, into one frozen object."""

from __future__ import annotations

import argparse
import functools
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import json5
import msgspec

from .text import well_formed
from .text_file import read_text

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the installation: ``server/``, ``sdk/``, ``modules/`` and ``explorer/`` are in it."""

ENVIRONMENT_PREFIX = "MILLRACE_"
_LISTS = {"allowed_addresses", "administrators", "allowed_hosts", "allowed_origins", "external_modules"}


class SettingsError(Exception):
    """A setting that cannot be used; the text names where it came from and what to write instead."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of one server. Times are seconds, sizes bytes."""

    host: str = "127.0.0.1"
    port: int = 32168
    data_dir: Path = ROOT / "data"
    modules_dir: Path = ROOT / "modules"
    environments_dir: Path = Path()
    """Where the module environments are; ``environments`` in the data folder unless it is set."""
    api_keys: dict[str, str] = {}
    """Key → name of its owner. Empty: everybody is the anonymous local user."""
    administrators: list[str] = []
    """Owners who may change the settings of modules. Without API keys, whoever is on this machine may."""
    allowed_addresses: list[str] = []
    """Networks (CIDR) whose clients need no key when the server listens beyond loopback."""
    allowed_hosts: list[str] = []
    """Further names of this server, such as ai.example.com or *.example.com; ``*``: any."""
    allowed_origins: list[str] = []
    """Origins of foreign pages that may use this server, such as https://app.example.com; ``*``: any."""
    owner_requests: float = 0.0
    """Requests a second that each owner may send; 0: any number."""
    owner_commands: int = 0
    """Commands of each owner that may wait and run at a time; 0: any number."""
    session_lifetime: float = 30 * 86400.0
    """How long a page that has logged in stays so."""
    compatible_version: str = "2.9.5"
    """The CodeProject.AI Server version that modules check against."""
    launch_modules: bool = True
    external_modules: list[str] = []
    """Ids of modules whose processes on this machine are believed without a proof, because somebody starts them."""
    restart_on_change: bool = False
    """Whether modules are started anew when their program changes, unless they say otherwise themselves."""
    response_timeout: float = 30.0
    strict_status: bool = False
    """Whether module routes answer with HTTP's own status when they cannot be served; see docs/http-api.md."""
    queue_length: int = 1024
    max_waiting_bytes: int = 1024**3
    queue_timeout: float = 3600.0
    cancel_deadline: float = 10.0
    reply_bytes: int = 4 * 1024 * 1024
    reply_text_memory: int = 256 * 1024
    reply_retention: float = 600.0
    result_retention: float = 86400.0
    drain: float = 5.0
    module_drain: float = 30.0
    max_body_bytes: int = 128 * 1024 * 1024
    max_unknown_body_bytes: int = 32 * 1024 * 1024
    max_unknown_bodies: int = 8
    max_headers: int = 128
    max_header_bytes: int = 8190
    max_text_bytes: int = 32 * 1024 * 1024
    max_log_bytes: int = 256 * 1024
    max_uploads_bytes: int = 16 * 1024**3
    max_form_fields: int = 1024
    max_name_bytes: int = 1024
    max_json_items: int = 50_000
    max_json_depth: int = 100
    max_part_headers: int = 16
    max_part_header_bytes: int = 4096
    max_preamble_bytes: int = 4096
    max_message_bytes: int = 64 * 1024 * 1024
    max_hello_bytes: int = 256 * 1024
    max_waiting_channels: int = 64
    hello_timeout: float = 10.0
    access_log: Literal["off", "json", "common"] = "off"
    """Whether, and how, a line is written to ``logs/access.log`` in the data folder for each request."""
    max_connections: int = 4096
    max_unsent_bytes: int = 256 * 1024 * 1024
    header_timeout: float = 30.0
    idle_timeout: float = 300.0
    body_timeout: float = 60.0

    def address(self, port: int) -> str:
        """The address of the server, without a slash at its end."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{port}"

    @property
    def environments_folder(self) -> Path:
        """Where the environments of modules are."""
        return self.data_dir / "environments" if self.environments_dir == Path() else self.environments_dir

    @property
    def keys_file(self) -> Path:
        """Where the hashes are of the keys that ``python -m server keys`` has made."""
        return self.data_dir / "keys.json"

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def load_settings(arguments: list[str], environment: Mapping[str, str]) -> tuple[ServerSettings, argparse.Namespace]:
    """Build the settings. Raises ``SettingsError``; argparse ends the program for ``--help`` and wrong flags."""
    parser = argparse.ArgumentParser(prog="python -m server")
    add_flags(parser)
    options = parser.parse_args(arguments)
    return settings_of(options, environment), options


def settings_of(options: argparse.Namespace, environment: Mapping[str, str], *, serving: bool = True) -> ServerSettings:
    """Build the settings from flags that were parsed, to serve with them or not. Raises ``SettingsError``."""
    values = _from_file(options.settings or environment.get("MILLRACE_SETTINGS"))
    values.update(_from_environment(environment))
    flags = {
        "host": options.host,
        "port": options.port,
        "data_dir": options.data_dir,
        "modules_dir": options.modules_dir,
        "strict_status": options.strict_status,
    }
    values.update({name: value for name, value in flags.items() if value is not None})
    try:
        settings = msgspec.convert(values, ServerSettings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise SettingsError(f"A setting cannot be used: {error}") from None
    _check(settings)
    if serving:
        _check_callers(settings)
    return _with_absolute_folders(settings)


def _with_absolute_folders(settings: ServerSettings) -> ServerSettings:
    environments = settings.environments_dir
    return msgspec.structs.replace(
        settings,
        data_dir=settings.data_dir.absolute(),
        modules_dir=settings.modules_dir.absolute(),
        environments_dir=environments if environments == Path() else environments.absolute(),
    )


def add_settings_flags(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Add the flags that every run understands."""
    add = functools.partial(parser.add_argument, default=default)
    add("--host", help="address to listen on (default 127.0.0.1)")
    add("--port", type=int, help="port to listen on (default 32168)")
    add("--data-dir", help="folder for records, logs and module environments")
    add("--modules-dir", help="folder with the modules")
    add("--settings", help="settings file (default: millrace.json beside the server folder)")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the server itself."""
    add_settings_flags(parser)
    parser.add_argument(
        "--install-modules",
        nargs="*",
        metavar="ID",
        help="make the environments of these modules (default: all), then exit",
    )
    parser.add_argument(
        "--strict-status",
        action="store_const",
        const=True,
        help="answer 503, 429 or 504 where a module cannot serve now, instead of 200 with success: false",
    )
    parser.add_argument("--selftest", metavar="ID", help="run a module's self-test in its environment, then exit")


def _from_file(named: str | None) -> dict[str, Any]:
    path = Path(named) if named else ROOT / "millrace.json"
    if not named and not path.exists():
        return {}
    try:
        values = json5.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise SettingsError(f'The settings file {path} must hold one object, like {{"port": 32168}}.')
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in ServerSettings.__struct_fields__:
        text = environment.get(ENVIRONMENT_PREFIX + name.upper())
        if not text:
            continue
        if name == "api_keys":
            values[name] = dict(_key_and_owner(item) for item in text.split(",") if item.strip())
        elif name in _LISTS:
            values[name] = [item.strip() for item in text.split(",") if item.strip()]
        else:
            values[name] = text
    return values


def _key_and_owner(item: str) -> tuple[str, str]:
    """``owner=key`` or just ``key``."""
    owner, _, key = item.strip().rpartition("=")
    return key, well_formed(owner) or "api-key"


def _path(kind: type, value: Any) -> Any:
    if kind is Path:
        if value == "":
            raise ValueError("The name of a folder is empty")  # else it would be whichever folder one is in
        return Path(value)
    raise NotImplementedError(kind)


def _check(settings: ServerSettings) -> None:
    if not 0 <= settings.port <= 65535:
        raise SettingsError(f"The port {settings.port} is not between 1 and 65535 (0 lets the system choose).")
    for name in ("max_connections", "max_unknown_bodies", "header_timeout", "idle_timeout", "body_timeout"):
        if not getattr(settings, name) > 0:
            raise SettingsError(f"{name} must be more than 0: nobody could be served.")
    for network in settings.allowed_addresses:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            raise SettingsError(f"allowed_addresses: {error}; write it like 192.168.1.0/24.") from None


def _check_callers(settings: ServerSettings) -> None:
    """Whoever lets other machines in must say whom."""
    known = settings.api_keys or settings.allowed_addresses or settings.keys_file.exists()
    if not settings.loopback_only and not known:
        raise SettingsError(
            f"Listening on {settings.host} lets other machines in. Add a key (python -m server keys add NAME), or set "
            "MILLRACE_API_KEYS (name=key) or MILLRACE_ALLOWED_ADDRESSES (for example 192.168.1.0/24) first."
        )
