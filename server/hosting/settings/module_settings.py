"""The typed settings of a module, from the merged content of its settings files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from ...text_file import read_text
from .platform_info import PlatformInfo
from .settings_file import ModuleSettingsError, RawSettings, find_line
from .versions import in_range, version_key

CONTACT_SECONDS = 120.0
PUBLISHED_CONTACT_SECONDS = 900.0
_PATH_IN_ERROR = re.compile(r"`\$((?:\.\w+|\[\w*\])*)`")
_PLAIN_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
_MODULE_ID = re.compile("%MODULE_ID%", re.IGNORECASE)
_NAME_IN_ERROR = re.compile(r"(?:field|missing) `(\w+)`")


def _key(name: str) -> str:
    return name.replace("_", "")


class _Section(msgspec.Struct, frozen=True, kw_only=True, rename=_key):
    """Base of all sections. Keys are matched in lower case, so the letter case in files does not matter."""


class PublishingInfo(_Section, frozen=True, kw_only=True):
    """What people read about the module."""

    description: str = ""
    icon_url: str = ""
    category: str = "Other"
    stack: str = ""
    license: str = ""
    license_url: str = ""
    author: str = ""
    homepage: str = ""
    based_on: str = ""
    based_on_url: str = ""


class LaunchSettings(_Section, frozen=True, kw_only=True):
    """How the module's process is started. ``sdk``: ``Millrace`` (by PYTHONPATH) or ``Published`` (its own)."""

    auto_start: bool | None = None
    file_path: str = ""
    runtime: str = ""
    runtime_location: str = "Local"
    command: str = ""
    post_start_pause_secs: int = 3
    queue: str = ""
    parallelism: int = 0
    required_mb: int = 0
    memory_limit_mb: int = 0
    """Resident MB of its processes after which it is stopped; 0 is no limit."""
    log_verbosity: str = "Quiet"
    sdk: str = "Millrace"
    restart_on_change: bool | None = None
    """Whether it is started anew when its program changes; ``None``: as the server's setting says."""
    start_timeout_secs: float = 0.0
    """Seconds until the process must have made contact, and then until it must be ready.

    0: the server's default for the contact, and no limit for ``initialise()``.
    """


class GpuOptions(_Section, frozen=True, kw_only=True):
    """Whether and how a GPU is used."""

    install_gpu: bool = True
    enable_gpu: bool = True
    accelerator_device_name: str = ""
    half_precision: str = "enable"


class ModuleRelease(_Section, frozen=True, kw_only=True):
    """One release and the servers it works with."""

    module_version: str = ""
    server_version_range: list[str] = []
    release_date: str = ""
    release_notes: str = ""
    importance: str = "Minor"


class DownloadableModel(_Section, frozen=True, kw_only=True):
    """A model that the module can use."""

    model_id: str = ""
    name: str = ""
    description: str = ""
    filename: str = ""
    folder: str = ""
    file_size_kb: int = 0
    pre_install: bool = False


class Proof(_Section, frozen=True, kw_only=True):
    """A program of the module that finds out whether what was installed works on this machine."""

    file_path: str = ""
    """Run with the environment's Python; exit code 0: it works. Empty: nothing is proven."""
    package: str = ""
    """The package that decides it."""
    builds_file_path: str = ""
    """A program that prints in which ways to install that package, the best first."""
    timeout_secs: float = 120.0
    install_timeout_secs: float = 7200.0


class InstallOptions(_Section, frozen=True, kw_only=True):
    """Where the module runs, which releases there are, and how to find out whether it works."""

    platforms: list[str] = []
    module_releases: list[ModuleRelease] = []
    downloadable_models: list[DownloadableModel] = []
    proof: Proof = Proof()


class ModelRequirement(_Section, frozen=True, kw_only=True):
    """A kind of model the module needs; descriptive."""

    task: str = ""
    architecture: str = ""
    format: str = ""


Scalar = str | int | float | bool | None


class Parameter(_Section, frozen=True, kw_only=True):
    """One input or output of a route; documentation for people and pages."""

    name: str = ""
    type: str = "Text"
    description: str = ""
    default_value: Scalar = None
    min_value: Scalar = None
    max_value: Scalar = None
    system: str | None = None


class RouteMap(_Section, frozen=True, kw_only=True):
    """A path the module serves. ``long_running``: it starts long commands. ``idempotent``: it may run twice.

    ``segments``: the path may go on, and the module is told how; ``None``: not said.
    """

    name: str = ""
    description: str = ""
    route: str = ""
    path: str = ""
    method: str = "POST"
    command: str = ""
    mesh_enabled: bool = True
    long_running: bool = False
    idempotent: bool = False
    segments: bool | None = None
    inputs: list[Parameter] = []
    outputs: list[Parameter] = []


class MenuOption(_Section, frozen=True, kw_only=True):
    """One entry of a dashboard menu."""

    label: str = ""
    setting: str = ""
    value: Scalar = None


class Menu(_Section, frozen=True, kw_only=True):
    """A dashboard menu."""

    label: str = ""
    options: list[MenuOption] = []


class UIElements(_Section, frozen=True, kw_only=True):
    """What the module adds to the dashboard."""

    menus: list[Menu] = []


class ModuleSettings(_Section, frozen=True, kw_only=True):
    """Everything ``modulesettings.json`` and its overrides say about one module."""

    module_id: str = ""
    folder: str = ""
    """Where its program is."""
    instance_of: str = ""
    """The id of the module whose program and environment it uses; empty when it has its own."""
    name: str = ""
    version: str = ""
    publishing_info: PublishingInfo = PublishingInfo()
    launch_settings: LaunchSettings = LaunchSettings()
    environment_variables: dict[str, Scalar] = {}
    gpu_options: GpuOptions = GpuOptions()
    install_options: InstallOptions = InstallOptions()
    model_requirements: list[ModelRequirement] = []
    ui_elements: UIElements = msgspec.field(name="uielements", default=UIElements())
    route_maps: list[RouteMap] = []
    explorer_frame: str | None = None
    """``trusted``: its page is shown with the rights of the explorer. Only the user's own settings can say so."""

    @property
    def path(self) -> Path:
        """The module's folder, absolute."""
        return Path(self.folder)

    @property
    def installed_as(self) -> ModuleSettings:
        """What is to be installed for it: itself, or the module that it is an instance of."""
        return msgspec.structs.replace(self, module_id=self.instance_of) if self.instance_of else self

    @property
    def queue(self) -> str:
        """The queue its commands wait in."""
        return self.launch_settings.queue or f"{self.module_id.lower()}_queue"

    @property
    def auto_start(self) -> bool:
        """Whether the server starts it; not saying so means yes."""
        return self.launch_settings.auto_start is not False

    @property
    def trusted_page(self) -> bool:
        """Whether its page runs with the rights of the explorer itself."""
        return (self.explorer_frame or "").lower() == "trusted"

    @property
    def published_sdk(self) -> bool:
        """Whether it brings the published SDK instead of taking the server's."""
        return self.launch_settings.sdk.lower() == "published"

    @property
    def location(self) -> Literal["local", "shared", "system"]:
        """Where its interpreter comes from; anything unknown means its own environment."""
        location = self.launch_settings.runtime_location.lower()
        if location == "system":
            return "system"
        return "shared" if location == "shared" else "local"

    @property
    def is_python(self) -> bool:
        """Whether it needs a Python interpreter made or found for it."""
        runtime = self.launch_settings.runtime.lower()
        return runtime.startswith("python") or (not runtime and self.launch_settings.file_path.endswith(".py"))

    @property
    def contact_seconds(self) -> float:
        """How long its process may take to make contact; the published SDK does so after loading its model."""
        default = PUBLISHED_CONTACT_SECONDS if self.published_sdk else CONTACT_SECONDS
        return self.launch_settings.start_timeout_secs or default

    def incompatibility(self, server_version: str, machine: PlatformInfo) -> str | None:
        """Return why it cannot run here, or ``None``."""
        if not machine.accepts(self.install_options.platforms):
            known = ", ".join(self.install_options.platforms)
            return (
                f"it does not run on {machine.name}, only on what its settings name (InstallOptions.Platforms: {known})"
            )
        for release in self.install_options.module_releases:
            if version_key(release.module_version) == version_key(self.version):
                limits = release.server_version_range
                if not in_range(server_version, limits):
                    wanted = " to ".join(limit for limit in limits if limit)
                    return (
                        f"its version {self.version} needs a server of version {wanted}; this is {server_version}. "
                        "Take another version of the module (InstallOptions.ModuleReleases)"
                    )
        return None


def typed_settings(raw: RawSettings, folder: Path) -> ModuleSettings:
    """Give the merged settings their types and check them. Raises ``ModuleSettingsError``."""
    values = _lower_keys(raw.values)
    values["environmentvariables"] = _original(raw.values, "environmentvariables")
    values.update({"moduleid": raw.module_id, "folder": str(folder), "instanceof": raw.instance_of})
    try:
        settings = msgspec.convert(values, ModuleSettings, strict=False)
    except msgspec.ValidationError as error:
        raise ModuleSettingsError(_explain(raw, str(error))) from None
    settings = _with_plain_routes(settings)
    _check(settings, raw)
    return _with_newest_version(settings)


def salvaged_settings(raw: RawSettings, folder: Path) -> ModuleSettings:
    """Return what can be used of settings that are not valid: id, name, queue, and the routes that are whole."""
    values = _lower_keys(raw.values)
    settings = ModuleSettings(module_id=raw.module_id, folder=str(folder), name=raw.module_id)
    for key, kind in (("name", str), ("launch_settings", LaunchSettings), ("publishing_info", PublishingInfo)):
        settings = _with_field(settings, key, values.get(_key(key)), kind)
    routes = values.get("routemaps")
    whole = []
    for item in routes if isinstance(routes, list) else []:
        try:
            route = msgspec.convert(item, RouteMap, strict=False)
        except msgspec.ValidationError:
            continue
        whole += [route] if route.route and route.command else []
    return _with_plain_routes(msgspec.structs.replace(settings, route_maps=whole))


def _with_plain_routes(settings: ModuleSettings) -> ModuleSettings:
    """Take from the routes what people write around them, such as ``/v1/``, and put in the module's id."""
    routes = [
        msgspec.structs.replace(entry, route=_plain_route(entry.route, settings.module_id))
        for entry in settings.route_maps
    ]
    return msgspec.structs.replace(settings, route_maps=routes)


def _plain_route(route: str, module_id: str) -> str:
    path = _MODULE_ID.sub(lambda _: module_id, route.strip())
    return re.sub(r"^v1/+", "", path.strip("/"), flags=re.IGNORECASE).strip("/")


def _with_field(settings: ModuleSettings, name: str, value: Any, kind: type) -> ModuleSettings:
    try:
        return msgspec.structs.replace(settings, **{name: msgspec.convert(value, kind, strict=False)})
    except msgspec.ValidationError:
        return settings


def _lower_keys(value: Any) -> Any:
    """Keys in lower case, nulls left out: a null means that the default holds."""
    if isinstance(value, Mapping):
        return {key.lower(): _lower_keys(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_lower_keys(item) for item in value if item is not None]
    return value


def _original(values: Mapping[str, Any], key: str) -> Any:
    return next((item for name, item in values.items() if name.lower() == key and item is not None), {})


def _check(settings: ModuleSettings, raw: RawSettings) -> None:
    launch = settings.launch_settings
    if not settings.name:
        raise _missing(raw, "Name", "the name people read")
    if not launch.file_path:
        raise _missing(raw, "LaunchSettings.FilePath", 'the file to start, such as "my_module_adapter.py"')
    if not launch.runtime and not launch.command:
        raise _missing(raw, "LaunchSettings.Runtime", 'such as "python3.11"')
    if not settings.route_maps:
        raise _missing(raw, "RouteMaps", "a list with at least one route")
    for number, route in enumerate(settings.route_maps):
        if not route.route:
            old = ' ("Path" is what server 2.2 and older called it)' if route.path else ""
            raise _missing(raw, f"RouteMaps[{number}].Route", f'such as "text/reverse"{old}')
        if not route.command:
            raise _missing(raw, f"RouteMaps[{number}].Command", "the command name the module receives")


def _missing(raw: RawSettings, key: str, expected: str) -> ModuleSettingsError:
    section = re.split(r"[.\[]", key)[0]
    line = find_line(raw.files[0], section) or find_line(raw.files[0], raw.module_id) or 1
    return ModuleSettingsError(f'{raw.files[0]}, line {line}: the key "{key}" is missing; expected {expected}.')


def _explain(raw: RawSettings, error: str) -> str:
    """Turn a validation error into file, line, key and what was expected."""
    match = _PATH_IN_ERROR.search(error)
    keys = re.findall(r"\w+", match[1]) if match else []
    names = [key for key in keys if key != "..."]
    named = _NAME_IN_ERROR.search(error)
    key = names[-1] if names else named[1] if named else raw.module_id
    for path in reversed(raw.files):
        if (line := find_line(path, key)) is not None:
            spelling = _spelling(path, line, key)
            return f'{path}, line {line}, key "{spelling}": {_plain(error)}.'
    return f'{raw.files[0]}, key "{key}": {_plain(error)}.'


def _plain(error: str) -> str:
    text = error.split(" - at ")[0]
    return re.sub(r"`(\w+)( \| null)?`", lambda match: _PLAIN_TYPES.get(match[1], match[1]), text).replace("`", "")


def _spelling(path: Path, line: int, key: str) -> str:
    text = read_text(path).splitlines()[line - 1]
    found = re.search(f'"({re.escape(key)})"', text, re.IGNORECASE)
    return found[1] if found else key


def _with_newest_version(settings: ModuleSettings) -> ModuleSettings:
    """The highest released version is the module's version, as its authors expect."""
    releases = [release.module_version for release in settings.install_options.module_releases]
    known = [(key, version) for version in releases if (key := version_key(version)) is not None]
    if not known or max(known)[1] == settings.version:
        return settings
    return msgspec.structs.replace(settings, version=max(known)[1])
