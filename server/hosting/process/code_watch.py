"""Whether what a module runs is still what its files say, and whether it is to be started anew for that. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from .code_files import Code, changed_files, is_installed_from

PATIENCE = 3
"""So many times in a row a module is started anew for files that were written while it was starting."""
_SHOWN = 3


class CodeWatch:
    """Compares the program of a module with the one its process was started with. ``wall_clock`` as files have it."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._clock = wall_clock
        self._base: Code | None = None
        """What it was installed from and started with; ``None`` before its first start."""
        self._start = (0.0, 0.0)
        """When its process began to start, and when that was over."""
        self._self_written = 0
        self.known: Code = {}
        """The files as they were last seen."""
        self.changed: dict[str, str] = {}
        """The files that are not what they were, and what is in them now."""
        self.settled = True
        """Whether nothing is in the middle of being written."""

    def installing(self, code: Code) -> None:
        """The module is about to be installed from these files, and then started."""
        self._base = code
        self._take(code)

    def starting(self, code: Code, since: float | None = None) -> None:
        """A process begins with these files; ``since``: it is an old one, which began at that time.

        What it is installed from stays what it was: a process that only starts again does not take it up.
        """
        installation = {name: file for name, file in (self._base or {}).items() if is_installed_from(name)}
        program = {name: file for name, file in code.items() if not is_installed_from(name)}
        if since is not None:
            program = {name: file for name, file in program.items() if file.mtime_ns / 1e9 <= since}
        self._base = {**program, **installation}
        self._start = (self._clock(), float("inf"))
        self._take(code)

    def started(self) -> None:
        """The start is over, well or not: what was written until now may be the process's own work."""
        begun, over = self._start
        self._start = (begun, min(over, self._clock()))

    def see(self, code: Code) -> bool:
        """Take in the files as they are now; true when it has just become certain that they are others."""
        if self._base is None:
            return False
        self.settled, self.known = not changed_files(self.known, code), code
        if not self.settled:
            return False
        before, names = self.changed, changed_files(self._base, code)
        self.changed = {name: code[name].digest if name in code else "" for name in names}
        return bool(self.changed) and self.changed != before

    def is_worth_a_start(self) -> bool:
        """Whether to start the module anew for this: not for ever, if it writes its own program at each start."""
        written = [self.known[name].mtime_ns / 1e9 for name in self.changed if name in self.known]
        begun, over = self._start
        own = bool(written) and all(begun <= at <= over for at in written)
        self._self_written = self._self_written + 1 if own else 0
        return self._self_written <= PATIENCE

    @property
    def note(self) -> str:
        """What to tell people; empty when nothing has changed."""
        if not self.changed:
            return ""
        more = len(self.changed) - _SHOWN
        names = ", ".join(list(self.changed)[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        if self._self_written > PATIENCE:
            return f"Changed at each start: {names}. So the module is not started anew for that by itself any more."
        return f"Changed since it was started: {names}. Restart the module to take that up."

    def _take(self, code: Code) -> None:
        self.known, self.changed, self.settled = code, {}, True
