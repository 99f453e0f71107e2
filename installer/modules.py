"""The modules' own environments, which the server knows how to make."""

from __future__ import annotations

from .commands import shown
from .layout import Layout
from .progress import InstallError, Progress, Step

_SETTINGS_UNUSABLE = 2


def prepare(layout: Layout, progress: Progress) -> bool:
    """Make the environment of every module that lacks one, showing the progress; whether all of them are ready.

    What is wrong with the others is told as a warning: the server runs without them. Raises InstallError when the
    server's settings cannot be used.
    """
    step = Step(
        title="Preparing the modules",
        name="modules",
        command=[layout.python, "-m", "server", "--install-modules"],
        cwd=layout.root,
        normal="a moment; 5 to 15 minutes the first time, when llama-cpp-python has to be built",
        show=True,
        quiet_for=75,  # the server gives signs of life itself, at most a minute apart
    )
    code, log = progress.attempt(step)
    if code == _SETTINGS_UNUSABLE:
        raise InstallError(f"The server's settings cannot be used; the reason is above.\nThe whole log: {log}")
    if code != 0:
        again = shown([layout.python, "-m", "server", "--install-modules", "MODULE_ID"])
        progress.say(
            "\nWarning: not every module is ready; which, why and what to do is above. The server runs without them.\n"
            f"The whole log: {log}\nTo try one alone: {again}"
        )
    return code == 0
