"""The field logit_bias."""

from __future__ import annotations

from typing import Any

import pytest
from llamachat.chat.logit_bias import bias_for
from llamachat.engine.errors import RequestRefusedError


@pytest.mark.parametrize("value", [None, "", "  ", "{}", {}])
def test_nothing_is_no_bias(value: Any) -> None:
    assert bias_for(value) == {}


@pytest.mark.parametrize("value", ['{"7": -100, "42": 1.5}', {"7": -100, "42": 1.5}, {7: -100, 42: 1.5}])
def test_text_and_objects_mean_the_same(value: Any) -> None:
    assert bias_for(value) == {7: -100.0, 42: 1.5}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{", "logit_bias is not valid JSON"),
        ("[" * 100_000, "logit_bias is not valid JSON"),
        ("[1]", "logit_bias must be a JSON object"),
        ("5", "logit_bias must be a JSON object"),
        ('{"word": 1}', "name tokens by their number, not 'word'"),
        ('{"-1": 1}', "name tokens by their number, not '-1'"),
        ('{"1.0": 1}', "name tokens by their number"),
        ('{"99999999999": 1}', "name tokens by their number"),
        ('{"1": 101}', "from -100 to 100, not '101'"),
        ('{"1": -100.5}', "from -100 to 100"),
        ('{"1": NaN}', "from -100 to 100"),
        ('{"1": "2"}', "from -100 to 100"),
        ('{"1": true}', "from -100 to 100"),
        ('{"1": null}', "from -100 to 100"),
    ],
)
def test_what_is_wrong_is_named(value: Any, said: str) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        bias_for(value)
    assert said in str(refused.value)
    assert "logit_bias" in str(refused.value)
