"""The modules' own environments, which the server knows how to make."""

from __future__ import annotations

from . import prerequisites
from .layout import Layout
from .progress import Progress, Step

_ADVICE = """\
Check the network, then run the same command again: it goes on where it stopped.
To see which module it was, and why, read the log; one module alone is installed with
  {python} -m server --install-modules MODULE_ID"""
_NO_COMPILER = "\nThere is no C++ compiler here, and building llama-cpp-python needs one: {command}"


def ensure(layout: Layout, progress: Progress) -> None:
    """Make the environment of every module that lacks one, showing the progress. Raises StepFailedError."""
    advice = _ADVICE.format(python=layout.python)
    if not prerequisites.has_compiler():
        advice += _NO_COMPILER.format(command=prerequisites.install_command(prerequisites.COMPILER))
    progress.run(
        Step(
            title="Preparing the modules",
            name="modules",
            command=[layout.python, "-m", "server", "--install-modules"],
            cwd=layout.root,
            normal="a moment; 5 to 15 minutes the first time, when llama-cpp-python has to be built",
            advice=advice,
            show=True,
            quiet_for=75,  # the server gives signs of life itself, at most a minute apart
        )
    )
