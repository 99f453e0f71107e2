from __future__ import annotations

import pytest

from installer.options import Options, parse


def test_nothing_asked_means_install_only() -> None:
    assert parse([]) == Options(run=False, port=None, model=None, pytest_args=None)


def test_run_with_port_and_model() -> None:
    asked = parse(["--run", "--port", "8080", "--model", "owner/name:file.gguf"])
    assert asked == Options(run=True, port=8080, model="owner/name:file.gguf")


def test_a_model_can_be_for_an_instance(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--model", "a/b", "--as", "Coder-7b"]).instance == "Coder-7b"
    for wrong in (["--as", "Coder"], ["--model", "a/b", "--as", "../x"], ["--model", "a/b", "--as", ""]):
        with pytest.raises(SystemExit):
            parse(wrong)
    assert "--model, which is missing" in capsys.readouterr().err


def test_everything_after_test_goes_to_pytest() -> None:
    asked = parse(["--run", "--test", "tests/unit", "-k", "log or port", "--run"])
    assert asked.pytest_args == ("tests/unit", "-k", "log or port", "--run")
    assert asked.run


def test_test_alone_has_no_arguments_for_pytest() -> None:
    assert parse(["--test"]).pytest_args == ()


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", ""])
def test_impossible_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--run", "--port", port])
    assert ended.value.code == 2
    assert "port" in capsys.readouterr().err


def test_unknown_option_is_refused() -> None:
    with pytest.raises(SystemExit):
        parse(["--ruin"])
