"""The wire shapes of modules: what the compatible module lists show."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any, TypeVar

import msgspec

from ..text import well_formed
from .process.launch_environment import scalar_text
from .settings.explore_page import ExplorePage
from .settings.module_settings import ModuleSettings, Parameter

_VERBOSITIES = {"unknown": 0, "quiet": 1, "info": 2, "loud": 3}
_LOCATIONS = {"local": 1, "shared": 2, "system": 3}
_INTERNAL = 1
_SECRET = re.compile(r"(^|_)(API)?(TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_HIDDEN = "********"
_Shape = TypeVar("_Shape", bound=msgspec.Struct)


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of the shapes: camelCase keys, nulls included."""


class WireDownload(Wire, frozen=True, kw_only=True):
    """A model that can be downloaded for a module."""

    model_id: str
    name: str
    description: str
    filename: str
    folder: str
    file_size_kb: int = msgspec.field(name="fileSizeKb")
    pre_install: bool
    downloaded: bool = False
    cached: bool = False


class WireMenuOption(Wire, frozen=True, kw_only=True):
    """One entry of a menu."""

    label: str
    setting: str
    value: str


class WireMenu(Wire, frozen=True, kw_only=True):
    """A menu of the dashboard."""

    label: str
    options: list[WireMenuOption]


class ModuleStatus(Wire, frozen=True, kw_only=True):
    """How a module is (the reference's ProcessStatus). ``state`` and ``state_reason`` say it in Millrace's words.

    ``notes`` is what somebody should know of a module although it may run; they are the reason of one that runs.
    ``changed`` are the files of its program that are not what they were when its process was started.
    ``starts_in_secs``: while it waits to be started again.
    """

    module_id: str
    queue: str
    name: str
    version: str
    category: str
    started: str | None
    last_seen: str | None
    status: str
    state: str
    state_reason: str | None
    notes: list[str]
    changed: list[str]
    starts_in_secs: int | None
    status_data: msgspec.Raw | None
    request_count: int
    downloadable_models: list[WireDownload]
    menus: list[WireMenu]
    install_summary: str
    startup_summary: str
    summary: str


class WirePublishing(Wire, frozen=True, kw_only=True):
    """What people read about a module."""

    description: str
    icon_url: str = msgspec.field(name="iconURL")
    category: str
    stack: str
    license: str
    license_url: str
    author: str
    homepage: str
    based_on: str
    based_on_url: str


class WireLaunch(Wire, frozen=True, kw_only=True):
    """How a module is started. ``log_verbosity`` and ``runtime_location`` are the reference's numbers."""

    log_verbosity: int
    auto_start: bool | None
    file_path: str
    runtime: str
    runtime_location: int
    command: str | None
    post_start_pause_secs: int
    queue: str
    parallelism: int
    required_mb: int


class WireGpu(Wire, frozen=True, kw_only=True):
    """Whether and how a module uses a GPU."""

    install_gpu: bool = msgspec.field(name="installGPU")
    enable_gpu: bool = msgspec.field(name="enableGPU")
    accelerator_device_name: str
    half_precision: str


class WireSettings(Wire, frozen=True, kw_only=True):
    """The settings that can be changed while the server runs; ``restart_on_change``: null is as the server says."""

    autostart: bool
    restart_on_change: bool | None
    log_verbosity: int
    post_start_pause_secs: int
    parallelism: int
    install_gpu: bool = msgspec.field(name="installGPU")
    enable_gpu: bool = msgspec.field(name="enableGPU")
    accelerator_device_name: str
    half_precision: str


class WireRelease(Wire, frozen=True, kw_only=True):
    """One release of a module."""

    module_version: str
    server_version_range: list[str]
    release_date: str
    release_notes: str
    importance: str


class WireInstall(Wire, frozen=True, kw_only=True):
    """Where a module runs, and its releases."""

    module_location: int = _INTERNAL
    platforms: list[str]
    module_releases: list[WireRelease]
    downloadable_models: list[WireDownload]


class WireModel(Wire, frozen=True, kw_only=True):
    """A kind of model a module needs."""

    architecture: str
    task: str
    format: str


class WireExplorer(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """The parts of a module's page. ``trusted``: it runs with the rights of the explorer itself."""

    html: str
    css: str
    script: str
    trusted: bool = False


class WireElements(Wire, frozen=True, kw_only=True):
    """What a module adds to the pages of the server."""

    explorer_ui: WireExplorer = msgspec.field(name="explorerUI")
    menus: list[WireMenu]


class WireParameter(Wire, frozen=True, kw_only=True):
    """An input or output of a route."""

    name: str
    type: str
    description: str
    default_value: str | None
    min_value: str | None
    max_value: str | None


class WireRoute(Wire, frozen=True, kw_only=True):
    """A route of a module."""

    name: str
    route: str
    method: str
    command: str
    mesh_enabled: bool
    description: str
    inputs: list[WireParameter]
    outputs: list[WireParameter]
    returned_outputs: list[WireParameter]


class ModuleConfig(Wire, frozen=True, kw_only=True):
    """The effective settings of a module, with its page."""

    module_id: str
    name: str
    version: str
    publishing_info: WirePublishing
    launch_settings: WireLaunch
    gpu_options: WireGpu
    install_options: WireInstall
    model_requirements: list[WireModel]
    environment_variables: dict[str, str]
    ui_elements: WireElements = msgspec.field(name="uiElements")
    route_maps: list[WireRoute]
    settings_summary: str


class ModuleDescription(Wire, frozen=True, kw_only=True):
    """A module as the lists of installed modules show it."""

    module_id: str
    name: str
    version: str
    publishing_info: WirePublishing
    install_options: WireInstall
    download_url: str | None = None
    status: str = "Installed"
    is_downloadable: bool = False
    downloads: int = 0
    latest_compatible_release: WireRelease | None
    currently_installed: str
    update_available: bool = False
    valid: bool = True


def module_config(module: ModuleSettings, page: ExplorePage) -> ModuleConfig:
    """Return the wire shape of a module's settings."""
    return ModuleConfig(
        module_id=module.module_id,
        name=module.name,
        version=module.version,
        publishing_info=_publishing(module),
        launch_settings=_launch(module),
        gpu_options=_copy(module.gpu_options, WireGpu),
        install_options=_install(module),
        model_requirements=[_copy(model, WireModel) for model in module.model_requirements],
        environment_variables=wire_variables(module),
        ui_elements=WireElements(
            explorer_ui=_copy(page, WireExplorer, trusted=module.trusted_page), menus=wire_menus(module)
        ),
        route_maps=[
            _copy(
                route,
                WireRoute,
                inputs=_parameters(route.inputs),
                outputs=_parameters(route.outputs),
                returned_outputs=_parameters(route.outputs),
            )
            for route in module.route_maps
        ],
        settings_summary=settings_summary(module),
    )


def module_description(module: ModuleSettings) -> ModuleDescription:
    """Return the wire shape of an installed module."""
    install = _install(module)
    own = [release for release in install.module_releases if release.module_version == module.version]
    return ModuleDescription(
        module_id=module.module_id,
        name=module.name,
        version=module.version,
        publishing_info=_publishing(module),
        install_options=install,
        latest_compatible_release=own[0] if own else None,
        currently_installed=module.version,
    )


def wire_downloads(module: ModuleSettings) -> list[WireDownload]:
    """Return the models that can be downloaded for a module."""
    return [_copy(model, WireDownload) for model in module.install_options.downloadable_models]


def wire_menus(module: ModuleSettings) -> list[WireMenu]:
    """Return a module's menus."""
    return [
        WireMenu(
            label=menu.label,
            options=[_copy(option, WireMenuOption, value=scalar_text(option.value)) for option in menu.options],
        )
        for menu in module.ui_elements.menus
    ]


def wire_variables(module: ModuleSettings) -> dict[str, str]:
    """Return a module's environment variables as text. The values of keys and passwords are hidden."""
    found = {name: scalar_text(value) for name, value in module.environment_variables.items()}
    return {name: _HIDDEN if value and _SECRET.search(name) else value for name, value in found.items()}


def wire_settings(module: ModuleSettings) -> WireSettings:
    """Return the other settings of a module that can be changed."""
    return _copy(
        module.gpu_options,
        WireSettings,
        autostart=module.auto_start,
        restart_on_change=module.launch_settings.restart_on_change,
        log_verbosity=_VERBOSITIES.get(module.launch_settings.log_verbosity.lower(), 0),
        post_start_pause_secs=module.launch_settings.post_start_pause_secs,
        parallelism=module.launch_settings.parallelism,
    )


def settings_summary(module: ModuleSettings) -> str:
    """Return the settings that matter most, one to a line."""
    launch, gpu = module.launch_settings, module.gpu_options
    lines = {
        "Module": f"{module.name} {module.version} ({module.module_id})",
        "Folder": well_formed(module.folder),
        "Start file": launch.file_path,
        "Runtime": f"{launch.runtime or launch.command} ({module.location})",
        "Queue": module.queue,
        "Parallelism": str(launch.parallelism or "half the processors"),
        "Starts by itself": "yes" if module.auto_start else "no",
        "GPU": "may be used" if gpu.install_gpu and gpu.enable_gpu else "is not used",
    }
    variables = [f"  {name} = {value}" for name, value in wire_variables(module).items()]
    return "\n".join([*(f"{name}: {value}" for name, value in lines.items()), "Environment:", *variables])


def wire_time(seconds: float) -> str | None:
    """Return a time since the epoch as ISO 8601 UTC; ``None`` for 0, which means never."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _publishing(module: ModuleSettings) -> WirePublishing:
    return _copy(module.publishing_info, WirePublishing)


def _launch(module: ModuleSettings) -> WireLaunch:
    launch = module.launch_settings
    return _copy(
        launch,
        WireLaunch,
        log_verbosity=_VERBOSITIES.get(launch.log_verbosity.lower(), 0),
        runtime_location=_LOCATIONS[module.location],
        command=launch.command or None,
        queue=module.queue,
    )


def _install(module: ModuleSettings) -> WireInstall:
    options = module.install_options
    return WireInstall(
        platforms=options.platforms,
        module_releases=[_copy(release, WireRelease) for release in options.module_releases],
        downloadable_models=wire_downloads(module),
    )


def _parameters(parameters: list[Parameter]) -> list[WireParameter]:
    return [
        _copy(
            parameter,
            WireParameter,
            default_value=_text(parameter.default_value),
            min_value=_text(parameter.min_value),
            max_value=_text(parameter.max_value),
        )
        for parameter in parameters
    ]


def _text(value: Any) -> str | None:
    return None if value is None else scalar_text(value)


def _copy(source: msgspec.Struct, shape: type[_Shape], **changed: Any) -> _Shape:
    """Build a wire shape from the fields of the same names, except those given."""
    names = set(source.__struct_fields__) & set(shape.__struct_fields__)
    return shape(**{name: getattr(source, name) for name in names} | changed)
