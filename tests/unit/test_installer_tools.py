"""The installer's smaller parts: the server's settings, the model download, the modules' step, the browser."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from installer import chromium, model, modules, settings
from installer.layout import Layout, interpreter_of
from installer.progress import InstallError, StepFailedError
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
    for name in ("HOST", "PORT", "DATA_DIR", "API_KEYS", "SETTINGS"):
        monkeypatch.delenv(f"MILLRACE_{name}", raising=False)
    return layout


def test_settings_are_the_servers_own(real_server: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"port": 4001, "data_dir": "/srv/millrace", /* why not */}')
    monkeypatch.setenv("MILLRACE_SETTINGS", str(file))
    monkeypatch.setenv("MILLRACE_API_KEYS", "me=secret")
    found = settings.ask(real_server)
    assert (found.host, found.port, found.data, found.key) == ("127.0.0.1", 4001, Path("/srv/millrace"), "secret")
    assert settings.ask(real_server, 4002).port == 4002


def test_unusable_settings_are_told_in_the_servers_words(real_server: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_HOST", "0.0.0.0")
    with pytest.raises(InstallError, match="lets other machines in"):
        settings.ask(real_server)


def downloader(layout: Layout, text: str) -> None:
    script = layout.root / "modules" / "LlamaChat" / "download_model.py"
    script.parent.mkdir(parents=True)
    script.write_text(text)
    program(interpreter_of(layout.module_environment("LlamaChat")), f'exec "{sys.executable}" "$@"')


def test_model_is_fetched_by_the_modules_own_downloader(checkout: Layout, tmp_path: Path) -> None:
    downloader(checkout, "import pathlib, sys; pathlib.Path('called').write_text('|'.join(sys.argv[1:]))")
    progress, _ = captured(tmp_path)
    model.download(checkout, progress, "owner/name:file.gguf", tmp_path / "elsewhere")
    assert (tmp_path / "called").read_text() == f"owner/name:file.gguf|--data-dir|{tmp_path / 'elsewhere'}"


def test_a_model_of_an_instance_names_it(checkout: Layout, tmp_path: Path) -> None:
    downloader(checkout, "import pathlib, sys; pathlib.Path('called').write_text('|'.join(sys.argv[1:]))")
    progress, out = captured(tmp_path)
    model.download(checkout, progress, "owner/name", tmp_path, "Coder")
    assert (tmp_path / "called").read_text() == f"owner/name|--data-dir|{tmp_path}|--as|Coder"
    assert "for Coder" in out.getvalue()


def test_a_failed_download_says_how_to_go_on(checkout: Layout, tmp_path: Path) -> None:
    downloader(checkout, "import sys; sys.exit(4)")
    progress, _ = captured(tmp_path)
    with pytest.raises(InstallError, match=r"(?s)exit code 4.*same command"):
        model.download(checkout, progress, "owner/name", tmp_path / "data")


def test_a_missing_module_is_named(checkout: Layout, tmp_path: Path) -> None:
    progress, _ = captured(tmp_path)
    with pytest.raises(InstallError, match=r"download_model\.py is missing"):
        model.download(checkout, progress, "owner/name", tmp_path / "data")


def server_that(layout: Layout, text: str) -> None:
    package = layout.root / "server"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(text)


def test_modules_are_installed_by_the_server_in_sight_of_the_user(checkout: Layout, tmp_path: Path) -> None:
    server_that(checkout, "import sys; print('making', sys.argv[1:])")
    progress, out = captured(tmp_path)
    modules.ensure(checkout, progress)
    assert "making ['--install-modules']" in out.getvalue()


def test_a_module_that_cannot_be_installed_stops_everything(
    checkout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_that(checkout, "import sys; sys.exit('LlamaChat: no such package')")
    monkeypatch.setenv("PATH", str(tools_in(tmp_path / "bin", "sh")))
    progress, out = captured(tmp_path)
    with pytest.raises(StepFailedError) as failed:
        modules.ensure(checkout, progress)
    (log,) = (tmp_path / "logs").glob("install-*-modules.log")
    assert "LlamaChat: no such package" in out.getvalue()
    assert str(log) in str(failed.value)
    assert "build-essential" in str(failed.value)


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
