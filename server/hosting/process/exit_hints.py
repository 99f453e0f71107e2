"""What to do about a module's process that ended, or never said a word."""

from __future__ import annotations

START_LOOP = 'its program must end with start_loop(), such as: if __name__ == "__main__": MyModule().start_loop()'


def exit_hint(code: int | None, error: str, serving: bool, is_python: bool) -> str:
    """Return the remedy for an end; empty when nothing is known. ``error`` is the last line that was printed as one."""
    if is_python and code == 0 and not serving and not error:
        return START_LOOP
    if "ModuleNotFoundError" in error or "No module named" in error:
        return 'the package that has it belongs into its requirements.txt (with "RuntimeLocation": "Local")'
    if error.startswith(("SyntaxError", "IndentationError", "TabError")):
        return "correct the program there"
    return "its log tells more" if error else ""


def silent_hint(is_python: bool) -> str:
    """Return the remedy for a process that makes no contact."""
    return f"if it does not just need longer, {START_LOOP}" if is_python else "it may need longer"
