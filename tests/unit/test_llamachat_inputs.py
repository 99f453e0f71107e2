"""The fields of a chat request."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from llamachat.chat.inputs import ChatInputs, read_inputs
from llamachat.engine.errors import RequestRefusedError


def read(**fields: str | list[str]) -> ChatInputs:
    given = {"prompt": "hi", **fields}

    def values(name: str) -> Sequence[str]:
        value = given.get(name, [])
        return [value] if isinstance(value, str) else value

    return read_inputs(values)


def schema(**keywords: object) -> str:
    return json.dumps({"type": "json_schema", "json_schema": {"schema": keywords}})


def test_the_defaults() -> None:
    inputs = read()
    assert inputs.messages == [{"role": "user", "content": "hi"}]
    assert (inputs.max_tokens, inputs.stop) == (0, [])
    assert (inputs.sampling.temperature, inputs.sampling.top_k, inputs.sampling.top_p) == (0.4, 40, 0.95)
    assert inputs.sampling.seed is None
    assert not inputs.sampling.ignore_eos
    assert inputs.sampling.logit_bias == {}
    assert (inputs.logprobs, inputs.reasoning) == (None, None)


def test_every_field_arrives() -> None:
    inputs = read(
        max_tokens="7", temperature="0,5", top_p="0.9", top_k="3", min_p="0.1", seed="42", ignore_eos="true",
        repeat_penalty="1.1", frequency_penalty="0.2", presence_penalty="-0.3", logit_bias='{"7": -100}',
        logprobs="true", top_logprobs="5", reasoning="false",
    )  # fmt: skip
    sampling = inputs.sampling
    assert inputs.max_tokens == 7
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p) == (0.5, 0.9, 3, 0.1)
    assert (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty) == (1.1, 0.2, -0.3)
    assert (sampling.seed, sampling.ignore_eos, sampling.logit_bias) == (42, True, {7: -100.0})
    assert (inputs.logprobs, inputs.reasoning) == (5, False)


def test_an_empty_field_counts_as_absent() -> None:
    assert read(temperature="", max_tokens=" ", seed="-1", stop="", logit_bias="", reasoning=" ") == read()


def test_log_probabilities_without_alternatives() -> None:
    assert read(logprobs="1").logprobs == 0
    assert read(logprobs="0").logprobs is None


@pytest.mark.parametrize(
    ("stop", "stops"),
    [
        ("END", ["END"]),
        (["a", "b"], ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ("[not json", ["[not json"]),
        ("\n", ["\n"]),
    ],
)
def test_stop_in_every_form(stop: str | list[str], stops: list[str]) -> None:
    assert read(stop=stop).stop == stops


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("prompt", "", "prompt is empty"),
        ("max_tokens", "-1", "max_tokens must be a whole number from 0 to 1000000, not '-1'"),
        ("max_tokens", "1.5", "max_tokens must be a whole number"),
        ("max_tokens", "many", "max_tokens must be a whole number"),
        ("temperature", "hot", "temperature must be a number from 0 to 5, not 'hot'"),
        ("temperature", "nan", "temperature must be a number"),
        ("temperature", "inf", "temperature must be a number"),
        ("top_p", "1.1", "top_p must be a number from 0 to 1"),
        ("top_k", "-2", "top_k must be a whole number"),
        ("seed", "4294967295", "seed must be a whole number"),
        ("seed", "9" * 5000, "seed must be a whole number"),
        ("ignore_eos", "perhaps", "ignore_eos must be true or false"),
        ("reasoning", "some", "reasoning must be true or false"),
        ("logprobs", "3", "logprobs must be true or false"),
        ("top_logprobs", "21", "top_logprobs must be a whole number from 0 to 20, not '21'"),
        ("top_logprobs", "2", "top_logprobs needs logprobs to be true"),
        ("logit_bias", "[]", "logit_bias must be a JSON object"),
        ("stop", "[1, 2]", "stop must be a text or a JSON list of texts"),
        ("response_format", "{", "response_format is not valid JSON"),
        ("response_format", '{"type": "xml"}', "response_format.type must be"),
        ("response_format", '{"type": "json_schema"}', "response_format.json_schema.schema must be"),
        ("response_format", schema(items={"maxLength": 10**9}), "a length or count above 500"),
        ("response_format", schema(anyOf=[{"minItems": 501}]), "a length or count above 500"),
        ("response_format", schema(pattern="^a{2,1000000}$"), "a length or count above 500"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(field: str, value: str, said: str) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        read(**{field: value})
    assert said in str(refused.value)
    assert len(str(refused.value)) < 300


def test_too_many_stops() -> None:
    with pytest.raises(RequestRefusedError, match="at most 16"):
        read(stop=["x"] * 17)
    with pytest.raises(RequestRefusedError, match="at most 1000 characters"):
        read(stop=["x" * 1001])


def test_a_grammar_and_ignore_eos_exclude_each_other() -> None:
    with pytest.raises(RequestRefusedError, match="ignore_eos cannot be combined"):
        read(ignore_eos="1", response_format='{"type": "grammar", "grammar": "root ::= \\"a\\""}')
