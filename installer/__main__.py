"""Entry point: refuses an old Python in words before anything newer than it can break."""

from __future__ import annotations

import sys

OLDEST = (3, 10)


def main() -> int:
    """Run the installer with the command line's arguments; returns the exit code."""
    if tuple(sys.version_info) < OLDEST:
        wanted, found = ".".join(map(str, OLDEST)), ".".join(map(str, sys.version_info[:3]))
        print(f"Millrace needs Python {wanted} or newer; {sys.executable} is {found}.", file=sys.stderr)
        return 1
    from .cli import run_from_command_line

    return run_from_command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
