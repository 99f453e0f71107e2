from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer import ports
from installer.cli import ROOT
from installer.layout import Layout
from installer.progress import InstallError
from installer.settings import ServerSettings, ask
from server.data_folder import DataFolder
from tests.support.scripted_http import answering


def at(port: int, host: str = "127.0.0.1") -> ServerSettings:
    return ServerSettings(host=host, port=port, data=Path("data"), key="", environments=Path("data/environments"))


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which something listens that does not speak HTTP."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_free_port_is_fine() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ports.ensure_free(at(port))
    ports.ensure_free(at(port, "localhost"))


def test_a_taken_port_is_refused_with_a_way_out(taken: int) -> None:
    with pytest.raises(InstallError) as refused:
        ports.ensure_free(at(taken))
    assert f"Port {taken} of 127.0.0.1 cannot be used: Address already in use" in str(refused.value)
    assert f"bash install.sh --run --port {taken + 1}" in str(refused.value)


def test_another_server_at_the_port_is_recognised() -> None:
    with answering(lambda _path, _fields: {"success": True}) as url, pytest.raises(InstallError) as refused:
        ports.ensure_free(at(int(url.rpartition(":")[2])))
    assert "An AI server answers there already" in str(refused.value)


def test_an_occupied_data_folder_is_told_before_a_taken_port(taken: int) -> None:
    said = "Another server is using the data folder data."
    settings = ServerSettings("127.0.0.1", taken, Path("data"), "", Path("environments"), said)
    with pytest.raises(InstallError, match=r"^Another server is using the data folder data\.$"):
        ports.ensure_free(settings)


def test_the_servers_own_settings_say_who_uses_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_DATA_DIR", str(tmp_path / "data"))
    layout = Layout.of(ROOT)
    assert ask(layout).occupied == ""
    folder = DataFolder(tmp_path / "data")
    folder.take("http://127.0.0.1:1234")
    try:
        assert "Another server at http://127.0.0.1:1234" in ask(layout).occupied
    finally:
        folder.release()


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(InstallError, match=r"of 192\.0\.2\.1 cannot be used"):
        ports.ensure_free(at(32168, "192.0.2.1"))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("example", "http://example:80"),
    ],
)
def test_address_to_call_a_server_at(host: str, url: str) -> None:
    assert at(80, host).url == url
