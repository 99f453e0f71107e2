"""What to do about a failed installation, read from what uv and the compilers printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_Advice = Callable[[re.Match[str], str], str]

_DISK_FULL = r"No space left on device|os error 28\b|os error 112\b|Disk quota exceeded|not enough space on the disk"
_MEMORY = r"Killed signal terminated program|Cannot allocate memory|virtual memory exhausted|out of memory|MemoryError"
_RIGHTS = r"Permission denied \(os error 13\)|Read-only file system|os error 30\b"
_LOGIN = r"lack of valid authentication credentials|returned a 403 Forbidden|\b40[13] (?:Unauthorized|Forbidden)"
_CERTIFICATE = r"invalid peer certificate|certificate verify failed|UnknownIssuer|CERTIFICATE_VERIFY_FAILED"
_WRONG_ADDRESS = r"HTTP status client error \((4\d\d[^)]*)\) for url \(([^)]+)\)"
_NETWORK = (
    r"Failed to (?:fetch|download)|error sending request|dns error|Connection (?:refused|reset)|timed out|"
    r"Network is unreachable|Temporary failure in name resolution|Name or service not known|"
    r"network was disabled|HTTP status server error"
)
_UNREADABLE = r"Couldn't parse requirement|wheel filename `?([^`\n]+)`? is invalid|Invalid requirement"
_NO_FILE = r"Distribution not found at: (\S+)"
_UNKNOWN = r"Because (\S+) was not found in the package registry"
_NO_VERSION = r"there (?:is no version|are no versions) of (\S+)"
_PYTHON = r"current Python version \(([^)]+)\) does not satisfy Python([^\s,]+)"
_CONTRADICTION = r"No solution found when resolving"
_NO_COMPILER = (
    r"No such file or directory: '[^'\n]*(?:cc|gcc|g\+\+|clang|c\+\+)'|command '[^'\n]+' failed: No such file|"
    r"CMAKE_C(?:XX)?_COMPILER\b|Microsoft Visual C\+\+ [\d.]+ or greater is required|No CMAKE_\w+ could be found"
)
_BUILD = r"Failed to build `?([^`\s]+)|The build backend returned an error"


def _network(_: re.Match[str], __: str) -> str:
    return (
        "Check the network and, where one is used, the proxy or the package index; "
        "then try again: it goes on where it stopped."
    )


def _no_compiler(_: re.Match[str], __: str) -> str:
    return (
        "It has to be built here, and that needs a C and C++ compiler: sudo apt-get install build-essential "
        "(macOS: xcode-select --install; Fedora: sudo dnf install gcc gcc-c++ make). Then try again."
    )


def _build(found: re.Match[str], _: str) -> str:
    what = found[1] or "the package"
    return f"The network is fine: {what} could not be built here. What the compiler said is in the log."


_RULES: tuple[tuple[str, _Advice], ...] = (
    (_DISK_FULL, lambda _, __: "The disk is full. Free some space, then try again."),
    (_MEMORY, lambda _, __: "The memory ran out. End other programs or add swap space, then try again."),
    (_RIGHTS, lambda _, __: "The folder named there cannot be written by this user. Mend its rights, then try again."),
    (_LOGIN, lambda _, __: "The package index asks for a login. Check its address and credentials, then try again."),
    (
        _CERTIFICATE,
        lambda _, __: (
            "The certificate of the package index is not trusted here. Add its authority, perhaps your "
            "company's, to the system's certificates, then try again."
        ),
    ),
    (_WRONG_ADDRESS, lambda found, source: f"{found[2]} answers {found[1]}. Correct the address in {source}."),
    (_NETWORK, _network),
    (_UNREADABLE, lambda _, source: f"A line of {source} cannot be read. Correct it."),
    (_NO_FILE, lambda found, source: f"There is nothing at {found[1]}. Correct the path in {source}."),
    (_UNKNOWN, lambda found, source: f"There is no package {found[1]}. Correct the name in {source}."),
    (_NO_VERSION, lambda found, source: f"There is no {found[1]} to be had. Correct the version in {source}."),
    (
        _PYTHON,
        lambda found, source: (
            f"A package in {source} needs Python{found[2]}, and this is {found[1]}. Choose another version of it, or "
            "another Python with LaunchSettings.Runtime."
        ),
    ),
    (_CONTRADICTION, lambda _, source: f"What {source} asks for cannot be had together. Correct its versions."),
    (_NO_COMPILER, _no_compiler),
    (_BUILD, _build),
)


def advice_for(output: Sequence[str], source: str) -> str:
    """Return what to do about a failure with this output, empty when the output does not tell.

    ``source`` is what a reader knows the list of wanted packages by, such as ``requirements.txt of Mine``.
    """
    text = "\n".join(output)
    for pattern, advice in _RULES:
        if found := re.search(pattern, text, re.IGNORECASE):
            return advice(found, source)
    return ""
