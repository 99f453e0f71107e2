"""Where the server's folders are."""

from __future__ import annotations

import pytest

from server.config import SettingsError, load_settings


@pytest.mark.parametrize("flag", ["data-dir", "modules-dir"])
def test_an_empty_name_is_no_folder(flag: str) -> None:
    """As of a variable that is not set: it would be whichever folder one is in."""
    with pytest.raises(SettingsError, match=rf"name of a folder is empty.*{flag.replace('-', '_')}"):
        load_settings([f"--{flag}", ""], {})
