"""What an answer carries and how it can be steered, with the built-in model in LlamaChat's own environment."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.llamachat_worker import TINY_MODEL, run_script

_seen: dict[str, Any] = {}


async def observe(name: str) -> Any:
    """Run a scenario, once for all the tests that judge it."""
    if name not in _seen:
        _seen[name] = await run_script("answers", name)
    return _seen[name]


def choice(completion: Any) -> Any:
    [only] = completion["choices"]
    return only


def text(completion: Any) -> str:
    content = choice(completion)["message"]["content"]
    assert isinstance(content, str)
    return content


def entries(completion: Any) -> list[Any]:
    told = choice(completion)["logprobs"]["content"]
    assert isinstance(told, list)
    return told


async def test_log_probabilities_are_those_of_the_models_own_logits() -> None:
    seen = await observe("log_probabilities")
    told = entries(seen["answer"])
    assert len(told) == 12
    assert "".join(entry["token"] for entry in told) == text(seen["answer"])
    for entry, expected in zip(told, seen["expected"], strict=True):
        values = [candidate["logprob"] for candidate in entry["top_logprobs"]]
        assert values == sorted(values, reverse=True)
        # Logits differ by a few hundredths with how the prompt was cut into steps; unlikely tokens' by more.
        likely = [(ours, theirs) for ours, theirs in zip(values, expected, strict=True) if theirs > -5]
        assert likely
        assert all(math.isclose(ours, theirs, abs_tol=0.1) for ours, theirs in likely)
        best = {key: entry[key] for key in ("token", "logprob", "bytes")}
        assert best == entry["top_logprobs"][0], "a greedy token is the likeliest one"
        assert bytes(entry["bytes"]).decode() == entry["token"]


async def test_log_probabilities_come_with_the_text_they_belong_to() -> None:
    seen = await observe("log_probabilities")
    streamed = []
    for chunk in seen["chunks"][1:-1]:
        told = choice(chunk)["logprobs"]["content"]
        assert "".join(entry["token"] for entry in told) == choice(chunk)["delta"]["content"]
        streamed.extend(told)
    assert [entry["token"] for entry in streamed] == [entry["token"] for entry in entries(seen["answer"])]
    assert choice(seen["plain"])["logprobs"] is None


async def test_sampling_parameters_do_not_change_log_probabilities() -> None:
    seen = await observe("log_probabilities")
    hot, greedy = (entries(seen[name])[0]["top_logprobs"] for name in ("hot", "answer"))
    assert [candidate["token"] for candidate in hot] == [candidate["token"] for candidate in greedy]
    for ours, theirs in zip(hot, greedy, strict=True):
        assert math.isclose(ours["logprob"], theirs["logprob"], abs_tol=0.1)
    # Past the end of its text the model would say its end token: what ignore_eos forbids is told all the same.
    likeliest = {entry["top_logprobs"][0]["token"] for entry in entries(seen["endless"])}
    assert likeliest & set(seen["end_labels"])


async def test_tokens_that_do_not_show_have_no_log_probability() -> None:
    seen = await observe("log_probabilities")
    stopped = seen["stopped"]
    assert [entry["token"] for entry in entries(stopped)] == [text(stopped)] == ["A"]


async def test_a_bias_bans_and_forces_tokens() -> None:
    seen = await observe("logit_bias")
    assert seen["plain"].startswith(seen["first"])
    assert not seen["banned"].startswith(seen["first"])
    assert seen["banned_sampled"] not in ("", seen["first"])
    assert seen["forced"] == seen["other"] * 4
    assert seen["last"] == ""
    assert f"names the token {seen['vocabulary']}" in seen["unknown"]


async def test_thinking_comes_apart_from_the_answer() -> None:
    seen = await observe("thinking")
    whole = choice(seen["whole"])
    assert whole["message"] == {"role": "assistant", "content": "The answer.", "reasoning_content": "Hm, é."}
    assert "".join(entry["token"] for entry in whole["logprobs"]["content"]) == "The answer."
    usage = seen["whole"]["usage"]
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]

    deltas = [choice(chunk)["delta"] for chunk in seen["chunks"]]
    kinds = ["reasoning" if "reasoning_content" in delta else "answer" for delta in deltas[1:-1]]
    assert kinds == sorted(kinds, reverse=True), "all the thinking comes first"
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Hm, é."
    assert "".join(delta.get("content", "") for delta in deltas) == "The answer."


async def test_a_reply_without_thinking_is_left_alone() -> None:
    seen = await observe("thinking")
    for name in ("off", "untouched"):
        assert choice(seen[name])["message"] == {"role": "assistant", "content": "Plain."}
    assert text(seen["no_marks"]).startswith("<think>"), "this template knows no marks"
    assert seen["no_marks"]["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0


async def test_marks_that_are_control_tokens_are_made_to_show() -> None:
    hidden, shown, label = (await observe("thinking"))["revealed"]
    assert hidden == ""
    assert shown == label != ""


async def test_thinking_that_the_prompt_has_begun() -> None:
    seen = await observe("opened_thinking")
    message = choice(seen["unended"])["message"]
    assert message["content"] == ""
    assert message["reasoning_content"]
    assert choice(seen["unended"])["finish_reason"] == "length"
    assert seen["unended"]["usage"]["completion_tokens_details"]["reasoning_tokens"] == 8
    for reasoning, wanted in ((True, "Hm."), (False, "Yes.")):
        assert "".join(text for thinking, text in seen["parts"] if thinking is reasoning) == wanted
    assert seen["begins_after"] == ["</think>", "", ""], "a response format binds the answer, not the thinking"


async def test_a_grammar_can_begin_after_a_text() -> None:
    seen = await observe("late_grammar")
    before, after = seen["text"].split(" folder")
    assert seen["free"].startswith(before + " folder")
    assert re.fullmatch(r" \[\d{3}\]", after)


async def test_a_command_shows_the_thinking_beside_its_reply(tmp_path: Path) -> None:
    (tmp_path / "thinker.jinja").write_text("<think></think>{{ messages[-1].content }}", "utf-8")
    seen = await run_script(
        "adapter",
        "thinking",
        CPAI_MODULE_LLAMA_MODEL_DIR=str(TINY_MODEL.parent),
        CPAI_MODULE_LLAMA_MODEL_FILENAME=TINY_MODEL.name,
        CPAI_MODULE_LLAMA_THREADS="1",
        CPAI_MODULE_LLAMA_CHAT_FORMAT=str(tmp_path / "thinker.jinja"),
    )
    answer, thought = seen["answer"], ("Hm, well. " * 20).strip()
    assert (answer["reply"], seen["streamed"], answer["reasoning"]) == ("Yes.", "Yes.", thought)
    assert seen["fields"] == {"reasoning": thought}
    assert len(seen["seen"]) > 3, "it can be followed"
    assert all(thought.startswith(step["reasoning"]) and step["reply"] == "" for step in seen["seen"])
    told = answer["logprobs"]["content"]
    assert "".join(entry["token"] for entry in told).strip() == "Yes."
    assert all(len(entry["top_logprobs"]) == 2 for entry in told)
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] > 20
    for field, said in {
        "logit_bias": "logit_bias names the token 4096",
        "reasoning": "reasoning must be true or false",
        "top_logprobs": "top_logprobs needs logprobs",
        "grammar": "not a usable grammar",
    }.items():
        how, refused = seen["wrong"][field]
        assert (how, refused["success"]) == ("at once", False)
        assert said in refused["error"]


async def test_earlier_thinking_reaches_the_template() -> None:
    seen = await observe("history_of_thinking")
    assert "<think>hm</think>b" in seen["last"]
    assert "hm" not in seen["old"]


async def test_no_grammar_harms_the_process_or_another_chat() -> None:
    result = await observe("bad_grammars")
    seen = result["seen"]
    for name, said in {
        "unknown rule": "no rule named missing",
        "left recursion": "root begins with itself",
        "hidden left recursion": "root begins with itself",
        "empty": "no rule named root",
        "blank": "no rule named root",
        "no root": "no rule named root",
        "words": "must begin with a rule",
        "deep": "nested more than",
        "deep rules": "begin with each other",
        "repetition": "repeats too often",
        "large": "too large",
        "many beginnings": "can begin in more than",
        "zero": "not a usable grammar",
        "no such token": "no token of this model can say",
        "backward range": "no token of this model can say",
        "ambiguous": "takes too long to follow",
    }.items():
        assert said in seen.pop(name), name
    assert seen == {}
    assert result["surrogate"] == "a?b"
    assert "no token of this model can say" in result["endless"]


async def test_a_grammar_works_with_every_way_of_choosing() -> None:
    seen = await observe("grammars")
    for name, completion in seen["answers"].items():
        assert re.fullmatch(r"\[[a-f]{3,6}(,[a-f]{3,6}){2}\]", text(completion)), name
        assert choice(completion)["finish_reason"] == "stop"
        assert "".join(entry["token"] for entry in entries(completion)) == text(completion)
    assert re.fullmatch(r"\[[a-f]{3,6}(,[a-f]{3,6}){2}\]", seen["penalised"])
    assert seen["same"] == [text(seen["answers"]["hot"])] * 2, "the same seed gives the same reply"


async def test_a_grammar_looks_at_the_whole_vocabulary_only_when_it_must() -> None:
    seen = await observe("grammars")
    unhindered = seen["unhindered"]
    assert text(unhindered) == seen["plain"]
    whole_vocabulary = [size for size in seen["asked"] if size > 1]
    assert len(whole_vocabulary) <= 1, "at the end, where the model would go on"
    assert len(seen["asked"]) >= unhindered["usage"]["completion_tokens"]


async def test_a_second_turn_begins_with_the_first_in_every_chat_format() -> None:
    turns = (await observe("chat_formats"))["turns"]
    assert len(turns) == 9 * 2 * 4
    for name, (first, reply, second) in turns.items():
        assert second.startswith(first + reply), name
        assert second.index("Hi") < second.index("More?"), name
        assert ("Be kind." in first) == (" 1 " in name), name


async def test_a_model_without_a_chat_template_names_the_setting() -> None:
    wrong = (await observe("chat_formats"))["wrong"]
    for said in (wrong["no template"], wrong["unknown"]):
        assert "CPAI_MODULE_LLAMA_CHAT_FORMAT" in said
        assert "chatml, llama-2, llama-3" in said
        assert ".jinja" in said
    assert "'klingon'" in wrong["unknown"]
    assert "missing.jinja cannot be read" in wrong["missing file"]


async def test_a_chat_format_goes_before_the_models_own_template() -> None:
    seen = await observe("chat_format_setting")
    assert seen["from_file"] == seen["own"]
    assert seen["chatml"] != seen["own"], "this model was not made for ChatML"
    assert seen["stopped"] == "Yes.\n", "the next speaker's turn is not the model's to write"
    assert "own.jinja is broken" in seen["broken"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("large range", "larger than"),
        ("nested loops", "more than 500000 steps"),
        ("loops over a list", "more than 500000 steps"),
        ("power", "larger than"),
        ("repeated text", "larger than"),
        ("doubled by ~", "larger than"),
        ("doubled by +", "larger than"),
        ("doubled by a block", "larger than"),
        ("endless macro", "calls itself without end"),
        ("branching macro", "more than 500000 steps"),
        ("padding", "larger than"),
        ("deep", "recursion"),
        ("python", "unsafe"),
        ("change", "unsafe"),
        ("error", "division by zero"),
        ("own error", "roles must alternate"),
    ],
)
async def test_a_template_cannot_do_harm(name: str, said: str) -> None:
    seen = await observe("templates")
    assert said in seen["refused"][name]
    assert seen["messages"] == [{"role": "user", "content": "é"}]


async def test_usual_templates_work() -> None:
    seen = await observe("templates")
    assert seen["usual"] == 'é|01|abab[{"role": "user", "content": "é"}, {"role": "tool"}] 4 True'
