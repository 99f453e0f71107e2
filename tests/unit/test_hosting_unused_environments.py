"""What removed modules leave behind is named, with its size and how to delete it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from server.config import ServerSettings
from server.hosting.install.install_command import install_modules
from server.hosting.install.unused_environments import how_to_delete, unused_environments
from server.hosting.settings.platform_info import detect_platform
from server.hosting.settings.scanner import FoundModule, Scanner
from tests.support.hosting_modules import write_module


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    """A server with a module, one that is broken, an instance, and more environments than that."""
    settings = ServerSettings(data_dir=tmp_path / "it's data", modules_dir=tmp_path / "modules")
    write_module(settings.modules_dir, "Mine")
    write_module(settings.modules_dir, "Broken")
    (settings.modules_dir / "Broken" / "modulesettings.json").write_text("{")
    for name in ("Mine", "broken", "Gone", "shared-python3.11", ".Half.partial"):
        environment = settings.data_dir / "environments" / name
        environment.mkdir(parents=True)
        (environment / "pyvenv.cfg").write_text("home = /usr\n")
        (environment / "big").write_bytes(b"x" * 3 * 1024 * 1024)
    (settings.data_dir / "environments" / "notes").mkdir()
    return settings


def modules(settings: ServerSettings) -> list[FoundModule]:
    return Scanner(settings, detect_platform()).scan()


def names(settings: ServerSettings) -> list[str]:
    return [path.name for path in unused_environments(settings, modules(settings))]


def test_only_those_of_no_module_are_named(settings: ServerSettings, tmp_path: Path) -> None:
    assert names(settings) == ["Gone"], "a broken module may be one that shares an environment"
    shutil.rmtree(settings.modules_dir / "Broken")
    assert names(settings) == ["Gone", "broken", "shared-python3.11"]
    elsewhere = ServerSettings(
        data_dir=tmp_path, modules_dir=settings.modules_dir, environments_dir=settings.data_dir / "environments"
    )
    assert names(elsewhere) == [], "other servers may use them"


def test_the_command_deletes_it(settings: ServerSettings) -> None:
    gone = settings.data_dir / "environments" / "Gone"
    said = how_to_delete(gone)
    assert "(3 MB)" in said
    command = shlex.split(said.partition("To delete it: ")[2])
    assert command == ["rm", "-r", str(gone)]
    subprocess.run(command, check=True)
    assert names(settings) == []


async def test_preparing_the_modules_ends_with_them_and_with_what_is_wrong(settings: ServerSettings) -> None:
    told: list[str] = []
    assert not await install_modules(settings, [], told.append)
    assert [line for line in told if "To delete it" in line and "Gone" in line]
    assert told[-1].startswith("Not ready: Broken: ")
