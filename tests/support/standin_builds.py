"""A package that is built on the spot in a different way for each config setting, and a module that proves it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.hosting_modules import ECHO, write_module

PACKAGE = "millrace-stand-in"
_METADATA = "Metadata-Version: 2.1\nName: millrace-stand-in\nVersion: 1.0\n"
_PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "millrace-stand-in"
version = "1.0"
"""

# Builds a wheel whose only module does what the setting "does" says, and notes that it was built.
_BACKEND = """
import os, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    does = (config_settings or {}).get("does", "nothing")
    with open(BUILT, "a") as log:
        log.write(does + "\\n")
    if does == "no-compiler":
        raise SystemExit("there is no compiler")
    name, info = "millrace_stand_in-1.0-py3-none-any.whl", "millrace_stand_in-1.0.dist-info"
    code = f"DOES = {does!r}\\n"
    files = {
        "millrace_stand_in.py": code,
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: millrace-stand-in\\nVersion: 1.0\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},sha256={abs(hash(text))},\\n" for path, text in files.items())
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
"""

# Does what the installed package says: works, dies by a signal, is wrong, or hangs.
_PROOF = """
import os, signal, sys, time
import millrace_stand_in as stand_in

with open({runs!r}, "a") as log:
    log.write(stand_in.DOES + "\\n")
does = stand_in.DOES
if os.path.exists({broken!r}):
    does = open({broken!r}).read()
if does.startswith("SIG"):
    signal.signal(getattr(signal, does), signal.SIG_DFL)
    os.kill(os.getpid(), getattr(signal, does))
elif does == "hangs":
    time.sleep(600)
elif does == "needs-variable":
    sys.exit(0 if os.environ.get("STAND_IN_SAFE") == "yes" else "error: wrong by 3.5")
elif does != "works":
    sys.exit("error: a log-probability is wrong by 1.5")
print("all is well")
"""


class StandIn:
    """A folder with the package's source, and what was built and proven of it so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "stand-in"
        self.folder.mkdir()
        self._built, self._runs = self.folder / "built.log", self.folder / "runs.log"
        self.broken = self.folder / "broken"
        """When there is this file, the proof does what is in it, whatever is installed."""
        _write_sdist(self.folder / "millrace_stand_in-1.0.tar.gz", self._built)

    def write_module(
        self, modules: Path, builds: Sequence[Mapping[str, Any]] | None, code: str = ECHO, **proof: Any
    ) -> Path:
        """Write a module that needs the package; ``builds`` None: it names no ladder."""
        settings = {"FilePath": "prove.py", "Package": PACKAGE, **proof}
        if builds is not None:
            settings["BuildsFilePath"] = "builds.py"
        launch = {"FilePath": "adapter.py", "Runtime": "python", "RuntimeLocation": "Local"}
        folder = write_module(modules, "Mine", code, LaunchSettings=launch, InstallOptions={"Proof": settings})
        (folder / "requirements.txt").write_text(f"-f {self.folder}\n{PACKAGE}\n")
        (folder / "prove.py").write_text(_PROOF.format(runs=str(self._runs), broken=str(self.broken)))
        (folder / "builds.py").write_text(f"print({json.dumps(json.dumps(builds))})\n")
        return folder

    def built(self) -> list[str]:
        """What was built so far, in order."""
        return _lines(self._built)

    def proofs(self) -> list[str]:
        """What was installed at each run of the proof so far."""
        return _lines(self._runs)


def source(does: str, **fields: Any) -> dict[str, Any]:
    """A build that ``does`` something, in the words of the proof."""
    return {"name": f"the one that {does}", "origin": "source", "configSettings": [f"does={does}"], **fields}


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _write_sdist(path: Path, built: Path) -> None:
    backend = f"BUILT = {str(built)!r}\n{_BACKEND}"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in (("PKG-INFO", _METADATA), ("pyproject.toml", _PYPROJECT), ("backend.py", backend)):
            info = tarfile.TarInfo(f"millrace_stand_in-1.0/{name}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
