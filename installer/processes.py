"""Child processes that never outlive the installer."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .layout import WINDOWS

# CA bundles of the common systems; uv reads them only when told to.
_SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_PR_SET_PDEATHSIG = 1


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment for the installer's children: this process's, made quiet, prompt-free and unbuffered."""
    env = dict(os.environ)
    env.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    env.setdefault("PIP_NO_INPUT", "1")
    env.setdefault("PYTHONUNBUFFERED", "1")
    env.setdefault("PYTHONUTF8", "1")  # whatever the locale says, folders may have names in any script
    if WINDOWS or sys.platform == "darwin" or any(Path(path).exists() for path in _SYSTEM_CERTIFICATES):
        # A company's own certificate authority is in the system's store and not in uv's.
        # Two names: the second is what older versions of uv read.
        env.setdefault("UV_SYSTEM_CERTS", "1")
        env.setdefault("UV_NATIVE_TLS", "1")
    env.update(extra or {})
    return env


def _die_with_parent() -> None:
    """On Linux: ask the kernel to end this process when the installer is killed outright."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def start(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a child with its output in one pipe and no input.

    On POSIX it leads a session of its own: a Ctrl-C in the terminal reaches the installer alone, which then
    signals the child exactly once.
    """
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=not WINDOWS,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Signal a child started by :func:`start` and everything in its session's first group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if WINDOWS:
            process.terminate()
        else:
            os.killpg(process.pid, number)


def stop(process: subprocess.Popen[bytes], patience: float = 5.0) -> None:
    """End a child and its group: asks twice, waiting ``patience`` seconds each time, then kills."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal_group(process, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
    if not WINDOWS:
        signal_group(process, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()
