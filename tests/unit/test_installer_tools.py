"""The installer's smaller parts: the server's settings, the model download, the modules' step, the browser."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import psutil
import pytest

from installer import chromium, commands, model, modules, settings
from installer.layout import Layout, interpreter_of
from installer.progress import InstallError
from installer.settings import ServerSettings
from tests.support.installing import ROOT, captured, layout_in, program, python_of, tools_in


@pytest.fixture
def checkout(tmp_path: Path) -> Layout:
    """A layout whose Python runs, in a folder of its own."""
    layout = layout_in(tmp_path)
    python_of(layout)
    return layout


@pytest.fixture
def real_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A layout whose Python finds this repository's server, with no settings from outside."""
    layout = layout_in(tmp_path)
    program(layout.python, f'PYTHONPATH="{ROOT}:{ROOT}/sdk" exec "{sys.executable}" "$@"')
    for name in ("HOST", "PORT", "DATA_DIR", "ENVIRONMENTS_DIR", "API_KEYS", "SETTINGS"):
        monkeypatch.delenv(f"MILLRACE_{name}", raising=False)
    return layout


def test_settings_are_the_servers_own(real_server: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"port": 4001, "data_dir": "/srv/millrace", /* why not */}')
    monkeypatch.setenv("MILLRACE_SETTINGS", str(file))
    monkeypatch.setenv("MILLRACE_API_KEYS", "me=secret")
    found = settings.ask(real_server)
    assert (found.host, found.port, found.data, found.key) == ("127.0.0.1", 4001, Path("/srv/millrace"), "secret")
    assert found.environments == Path("/srv/millrace/environments")
    assert settings.ask(real_server, 4002).port == 4002
    monkeypatch.setenv("MILLRACE_ENVIRONMENTS_DIR", "/srv/envs")
    assert settings.ask(real_server).environments == Path("/srv/envs")


def test_unusable_settings_are_told_in_the_servers_words(real_server: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_HOST", "0.0.0.0")
    with pytest.raises(InstallError, match="lets other machines in"):
        settings.ask(real_server)


SAY = "import json, pathlib, sys; pathlib.Path('called').write_text(json.dumps(sys.argv[1:]))"


@pytest.fixture
def here(checkout: Layout, monkeypatch: pytest.MonkeyPatch) -> ServerSettings:
    """The settings of a server in the checkout; the user is in a folder beside it."""
    (checkout.root / "elsewhere").mkdir()
    monkeypatch.setenv(commands.CALLED_FROM, str(checkout.root / "elsewhere"))
    return ServerSettings("127.0.0.1", 1, checkout.data, "", checkout.data / "envs")


def chooser(layout: Layout, here: ServerSettings, text: str = SAY) -> None:
    """Write a program in the place of LlamaChat's own, and the environment that downloads run in."""
    script = layout.root / "modules" / "LlamaChat" / "download_model.py"
    script.parent.mkdir(parents=True)
    script.write_text(text)
    program(interpreter_of(here.environments / "LlamaChat"), f'exec "{sys.executable}" "$@"')


def called(layout: Layout) -> list[str]:
    found: list[str] = json.loads((layout.root / "called").read_text())
    return found


def test_a_file_is_seen_from_where_the_user_is(here: ServerSettings, checkout: Layout) -> None:
    elsewhere = checkout.root / "elsewhere"
    (elsewhere / "odd name").write_bytes(b"GGUF")
    assert model.own_file("a.gguf") == elsewhere / "a.gguf"
    assert model.own_file("odd name") == elsewhere / "odd name"
    assert model.own_file("/srv/b.GGUF") == Path("/srv/b.GGUF")
    assert model.own_file("owner/name") is None
    assert model.own_file("owner/name:a.gguf") is None


def test_a_file_is_used_without_llamachats_environment(here: ServerSettings, checkout: Layout, tmp_path: Path) -> None:
    chooser(checkout, here)
    shutil.rmtree(here.environments)
    progress, _ = captured(tmp_path)
    model.use_file(checkout, progress, here, Path("/my models/a.gguf"), "Coder")
    assert called(checkout) == ["/my models/a.gguf", "--data-dir", str(here.data), "--as", "Coder"]


def test_a_model_is_fetched_by_the_modules_own_downloader(
    here: ServerSettings, checkout: Layout, tmp_path: Path
) -> None:
    chooser(checkout, here)
    progress, out = captured(tmp_path)
    model.download(checkout, progress, here, "owner/name:file.gguf")
    assert called(checkout) == ["owner/name:file.gguf", "--data-dir", str(here.data)]
    model.download(checkout, progress, here, "owner/name", "Coder")
    assert "for Coder" in out.getvalue()


def test_a_failed_download_says_how_to_go_on(here: ServerSettings, checkout: Layout, tmp_path: Path) -> None:
    chooser(checkout, here, "import sys; sys.exit(4)")
    progress, _ = captured(tmp_path)
    with pytest.raises(InstallError, match=r"(?s)reason is above.*same command"):
        model.download(checkout, progress, here, "owner/name")
    with pytest.raises(InstallError, match="cannot be used; the reason is above"):
        model.use_file(checkout, progress, here, Path("/a.gguf"))


def test_a_download_that_is_cut_short_leaves_no_process(here: ServerSettings, checkout: Layout, tmp_path: Path) -> None:
    chooser(
        checkout, here, "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    )
    progress, _ = captured(tmp_path)

    def pause() -> None:
        if (checkout.root / "pid").exists() and (checkout.root / "pid").read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.download(checkout, progress, here, "owner/name", pause=pause)
    pid = int((checkout.root / "pid").read_text())
    assert not psutil.pid_exists(pid)


def test_what_is_missing_is_named(here: ServerSettings, checkout: Layout, tmp_path: Path) -> None:
    progress, _ = captured(tmp_path)
    with pytest.raises(InstallError, match="LlamaChat is not installed"):
        model.download(checkout, progress, here, "owner/name")
    with pytest.raises(InstallError, match=r"download_model\.py is missing"):
        model.use_file(checkout, progress, here, Path("/a.gguf"))


def server_that(layout: Layout, text: str) -> None:
    package = layout.root / "server"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(text)


def test_modules_are_installed_by_the_server_in_sight_of_the_user(checkout: Layout, tmp_path: Path) -> None:
    server_that(checkout, "import sys; print('making', sys.argv[1:])")
    progress, out = captured(tmp_path)
    assert modules.prepare(checkout, progress)
    assert "making ['--install-modules']" in out.getvalue()


def test_a_module_that_cannot_be_installed_is_a_warning(checkout: Layout, tmp_path: Path) -> None:
    server_that(checkout, "import sys; print('Mine: no such package'); sys.exit(1)")
    progress, out = captured(tmp_path)
    assert not modules.prepare(checkout, progress)
    (log,) = (tmp_path / "logs").glob("install-*-modules.log")
    said = out.getvalue()
    assert "Mine: no such package" in said
    assert "Warning: not every module is ready" in said
    assert str(log) in said
    assert "network" not in said


def test_settings_that_cannot_be_used_are_an_error(checkout: Layout, tmp_path: Path) -> None:
    server_that(checkout, "import sys; sys.exit(2)")
    progress, _ = captured(tmp_path)
    with pytest.raises(InstallError, match="settings cannot be used"):
        modules.prepare(checkout, progress)


@pytest.fixture
def no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH without a browser; returns its folder."""
    folder = tools_in(tmp_path / "bin", "sh")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(chromium, "_PLACES", ())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv(chromium.VARIABLE, raising=False)
    return folder


def test_a_browser_in_the_path_is_found(no_browser: Path) -> None:
    assert chromium.find() is None
    browser = program(no_browser / "google-chrome", "exit 0")
    assert chromium.find() == browser


def test_a_browser_that_cannot_start_does_not_count(no_browser: Path) -> None:
    program(no_browser / "chromium-browser", "echo requires a snap; exit 1")
    assert chromium.find() is None


def test_the_users_choice_of_browser_wins(no_browser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(no_browser / "chromium", "exit 0")
    mine = program(tmp_path / "mine", "exit 0")
    monkeypatch.setenv(chromium.VARIABLE, str(mine))
    assert chromium.find() == mine
    monkeypatch.setenv(chromium.VARIABLE, str(tmp_path / "gone"))
    assert chromium.find() is None


def test_no_browser_to_be_had_is_told_in_words(no_browser: Path, checkout: Layout, tmp_path: Path) -> None:
    program(checkout.python, "echo no browser here; exit 1")
    progress, _ = captured(tmp_path)
    with pytest.raises(InstallError) as failed:
        chromium.ensure(checkout, progress)
    assert "sudo apt-get install chromium" in str(failed.value)


def test_playwrights_own_browser_is_used_where_there_is_no_other(
    no_browser: Path, checkout: Layout, tmp_path: Path
) -> None:
    fetched = tmp_path / "fetched"
    program(
        checkout.python,
        f'[ "$1" = -m ] && echo "$@" > {tmp_path}/asked && : > {fetched}\n[ "$1" = -c ] && echo {fetched}\nexit 0',
    )
    progress, _ = captured(tmp_path)
    assert chromium.ensure(checkout, progress) == fetched
    assert (tmp_path / "asked").read_text().startswith("-m playwright install")
    assert chromium.ensure(checkout, captured(tmp_path)[0]) == fetched
