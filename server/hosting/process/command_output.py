"""What a small program of the system prints."""

from __future__ import annotations

import subprocess

from ...file_look import may_pass

_SECONDS = 20


def output_of(command: list[str]) -> str:
    """Return what a command prints; empty when it fails. Blocks. Raises ``OSError`` when it cannot be run now."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except OSError as error:
        if may_pass(error):
            raise
        return ""
    except subprocess.SubprocessError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
