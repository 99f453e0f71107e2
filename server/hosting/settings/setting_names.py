"""The settings of a module that can be changed while the server runs: their names, values and places in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .module_settings import ModuleSettings, Scalar
from .user_settings import Place, SettingError

RESTART = "restart"
"""Not a setting: start the module anew, with nothing changed."""
AUTO_START = frozenset({"autostart", "activate"})
"""The two names of whether a module runs."""
MAX_VALUE = 32 * 1024
"""Characters of a value; no system takes much longer environment variables."""
_VERBOSITIES = ("quiet", "info", "loud")
_HALF_PRECISIONS = ("force", "enable", "disable")


def placed(module: ModuleSettings, values: Mapping[str, str]) -> dict[Place, Scalar]:
    """Return where settings (by name) stand in the settings file, and their values there.

    Any name but the known ones is an environment variable, which must be one that the module names: those that the
    system itself obeys would let anybody on this machine run programs as the server. Raises ``SettingError``.
    """
    return dict(_place(module, name, value) for name, value in values.items() if name.lower() != RESTART)


def overruled(module_id: str, values: Iterable[Place], environment: Mapping[str, str]) -> list[str]:
    """Say which of these settings have no effect, because the server's own environment decides them."""
    there = {name.upper() for name in environment}
    names = []
    for section, key in values:
        names += [f"Modules__{module_id}__{section}__{key}", *([key] if section == "EnvironmentVariables" else [])]
    return [f"But the server was started with {name}, which goes first." for name in names if name.upper() in there]


def _place(module: ModuleSettings, name: str, value: str) -> tuple[Place, Scalar]:
    known = _KNOWN.get(name.lower())
    if known is not None:
        where, read = known
        return where, read(name, value.strip())
    variable = next((known for known in variables_of(module) if known.lower() == name.lower()), None)
    if variable is None:
        raise SettingError(
            f"The module {module.module_id} has no setting '{name}'. It has: "
            f"{', '.join([*_SHOWN, *variables_of(module), 'Restart'])}."
        )
    if "\0" in value or len(value) > MAX_VALUE:
        raise SettingError(f"{name} must be text without NUL, of at most {MAX_VALUE} characters.")
    return ("EnvironmentVariables", variable), value


def variables_of(module: ModuleSettings) -> list[str]:
    """Return the environment variables that a module's settings and menus name."""
    named = [option.setting for menu in module.ui_elements.menus for option in menu.options]
    own = {name.lower() for name in module.environment_variables}
    others = [name for name in dict.fromkeys(named) if name.lower() not in own and name.lower() not in _KNOWN]
    return [*module.environment_variables, *others]


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise SettingError(f"{name} must be true or false, not '{value[:40]}'.")
    return value.lower() == "true"


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 6):
        raise SettingError(f"{name} must be a whole number from 0 to 99999, not '{value[:40]}'.")
    return int(value)


def _word(*words: str) -> Callable[[str, str], str]:
    def read(name: str, value: str) -> str:
        if value.lower() not in words:
            raise SettingError(f"{name} must be one of {', '.join(words)}, not '{value[:40]}'.")
        return value.lower()

    return read


def _text(name: str, value: str) -> str:
    if "\0" in value or len(value) > 256:
        raise SettingError(f"{name} must be text without NUL, of at most 256 characters.")
    return value


_AUTO_START = (("LaunchSettings", "AutoStart"), _flag)
_ENABLE_GPU = (("GpuOptions", "EnableGPU"), _flag)
_KNOWN: dict[str, tuple[Place, Callable[[str, str], Scalar]]] = {
    "autostart": _AUTO_START,
    "activate": _AUTO_START,
    "parallelism": (("LaunchSettings", "Parallelism"), _count),
    "logverbosity": (("LaunchSettings", "LogVerbosity"), _word(*_VERBOSITIES)),
    "poststartpausesecs": (("LaunchSettings", "PostStartPauseSecs"), _count),
    "restartonchange": (("LaunchSettings", "RestartOnChange"), _flag),
    "enablegpu": _ENABLE_GPU,
    "supportgpu": _ENABLE_GPU,
    "usehalfprecision": (("GpuOptions", "HalfPrecision"), _word(*_HALF_PRECISIONS)),
    "acceleratordevicename": (("GpuOptions", "AcceleratorDeviceName"), _text),
}
_SHOWN = (
    "AutoStart",
    "Parallelism",
    "LogVerbosity",
    "PostStartPauseSecs",
    "RestartOnChange",
    "EnableGPU",
    "UseHalfPrecision",
    "AcceleratorDeviceName",
)
