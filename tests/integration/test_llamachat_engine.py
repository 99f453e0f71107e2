"""The engine with the built-in model, in LlamaChat's own environment."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.llamachat_worker import MODULE, ROOT, run_script

PATHS = os.pathsep.join(map(str, (MODULE, ROOT / "sdk", ROOT)))


async def observe(name: str) -> Any:
    return await run_script("behaviour", name)


async def test_many_chats_at_once_get_the_reply_each_gets_alone() -> None:
    seen = await observe("many_chats_at_once")
    assert all(seen["alone"])
    assert len(seen["alone"]) >= seen["asked"] / 2
    assert seen["together"] == seen["alone"]
    assert seen["again"] == seen["alone"], "a remembered beginning changes no reply"


async def test_greedy_replies_are_those_of_llama_cpp_itself() -> None:
    seen = await observe("same_as_llama_cpp")
    assert len(seen["got"]) >= seen["asked"] / 2
    assert seen["got"] == seen["expected"]


async def test_nobody_ever_gets_text_of_another_chat() -> None:
    seen = await observe("canaries")
    assert seen["wrong"] == []
    assert seen["compared"] >= 0.5
    assert seen["cancelled"] > 0
    assert seen["evictions"] > 0
    assert seen["cached"] > 0
    assert seen["left"] == [0, 0]


async def test_a_cancel_takes_effect_in_prompt_processing() -> None:
    seen = await observe("cancel_in_prompt")
    assert (seen["reason"], seen["tokens"]) == ("cancelled", 0)
    assert seen["prompt_tokens"] > 1000
    assert seen["steps"] == 3
    first = seen["prompt_tokens"] % 64
    assert seen["kept"] in (128 + first, 192 + first), "what was processed is remembered"
    assert seen["next"] == seen["expected"]


async def test_a_cancel_ends_a_running_and_a_waiting_chat() -> None:
    seen = await observe("cancel_while_generating")
    assert seen["reason"] == "cancelled"
    assert 0 < seen["tokens"] < 4000
    assert seen["queued"] == ["cancelled", 0, ""]
    assert seen["after"] == "completed"


async def test_a_long_prompt_leaves_every_other_chat_its_token() -> None:
    seen = await observe("long_prompt_beside_chats")
    assert seen["prompt_tokens"] > 2000
    first, *others = seen["batches"]
    assert 32 <= first < 64 + 32
    assert others[1::2] == [64] * (len(others) // 2)
    assert others[0::2] == [3] * (len(others) // 2), "a token for each chat between two chunks"
    assert first + 64 * (len(others) // 2) == seen["prompt_tokens"]


async def test_a_stop_string_ends_the_reply_and_never_shows() -> None:
    seen = await observe("stop_strings")
    assert seen["cut"] == seen["whole"][: seen["whole"].index(seen["stop"])]
    assert "".join(seen["deltas"]) == seen["cut"]
    assert seen["reason"] == "completed"
    assert seen["unstopped"] == seen["whole"], "what only began like a stop string is given back"


async def test_characters_over_several_tokens_appear_whole() -> None:
    seen = await observe("characters_over_tokens")
    assert seen["text"] == seen["wanted"]
    assert seen["tokens"] > len(seen["wanted"]), "the model needs several tokens for some characters"
    assert "".join(seen["deltas"]) == seen["wanted"]
    assert all(seen["wanted"].startswith(text) for text in seen["cut"]), "a character cut at the end is left out"


async def test_a_json_schema_is_followed_and_a_bad_grammar_refused() -> None:
    seen = await observe("json_schema")
    for text in seen["texts"]:
        value = json.loads(text)
        assert value["name"] in ("mill", "race")
        assert isinstance(value["count"], int)
    assert "not a usable grammar" in seen["refused"]
    assert seen["after"] == "completed"


async def test_the_same_seed_gives_the_same_reply() -> None:
    seen = await observe("seeds")
    assert len(set(seen["same"])) == 1
    assert len({seen["same"][0], *seen["others"]}) == 3
    assert len(set(seen["unseeded"])) == 3


async def test_penalties_stop_repetition() -> None:
    seen = await observe("penalties")
    assert len(set(seen["plain"])) < len(seen["plain"])
    assert len(set(seen["penalised"])) == len(seen["penalised"])


async def test_limits_of_a_reply() -> None:
    seen = await observe("limits")
    assert seen["exact"] == [["length", 50], ["length", 50]]
    reason, completion, prompt = seen["full"]
    assert (reason, completion + prompt) == ("length", 256)
    assert seen["capped"] == completion
    assert "256 tokens, and the context holds 256" in seen["refused"][0]
    assert "5000 tokens" in seen["refused"][1]
    assert "empty" in seen["refused"][2]
    assert seen["almost"] == ["length", 1]


async def test_the_second_turn_works_only_on_what_is_new() -> None:
    seen = await observe("second_turn")
    assert seen["cached"] >= seen["said"] - 1
    assert seen["prompt"] - seen["cached"] < 40
    assert seen["text"] == seen["expected"]
    assert seen["stranger_cached"] >= seen["system_tokens"], "a common system prompt is shared"


async def test_little_space_is_shared_by_waiting() -> None:
    seen = await observe("little_space")
    assert seen["texts"] == seen["expected"]
    assert seen["evictions"] > 0
    assert seen["long"] == "length"


@pytest.mark.parametrize("code", ["no_space", "partly_done", "not_done", "invalid"])
async def test_a_decode_that_did_not_succeed_changes_no_reply(code: str) -> None:
    seen = await observe("decode_codes")
    assert seen[code] == {"texts": seen["expected"], "crashes": []}


async def test_a_fatal_decode_fails_the_chats_with_the_reason() -> None:
    seen = await observe("decode_codes")
    assert all("failed with code -3" in text for text in seen["fatal"]["texts"])
    crash, refused = seen["fatal"]["crashes"]
    assert crash == refused
    assert "crashed" in crash


async def test_a_request_that_llama_cpp_refuses_fails_alone() -> None:
    seen = await observe("invalid_token")
    assert "refused" in seen["refused"]
    assert seen["texts"] == seen["expected"]


async def test_a_reader_who_leaves_frees_the_slot() -> None:
    seen = await observe("reader_leaves")
    assert seen["after"] == "completed"
    assert seen["generated"] < 2000


async def test_closing_tells_every_chat_why() -> None:
    seen = await observe("closing")
    assert seen["said"] == ["The module is stopping."] * 2


async def test_prompt_steps_are_measured_with_every_kind_of_model(tmp_path: Path) -> None:
    seen = await run_script("states", "prompt_costs", tmp_path / "cache", PYTHONPATH=PATHS)
    assert seen["built-in"]["first"] == seen["built-in"]["deep"] == [32, 64, 128, 256]
    assert seen["built-in"]["depth"] == 1000 - 256
    assert all(seen[name]["first"] == [32, 64, 128, 256] for name in ("sliding", "recurrent"))
    assert all(seen[name]["deep"] == [] for name in ("sliding", "recurrent"))
    assert all(seen[name]["least"] > 0 for name in ("built-in", "sliding", "recurrent"))
    assert seen["no time"] <= 32
    assert seen["tiny"] == [{}, {}]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
async def test_the_first_words_of_a_model_leave_no_threads_for_chats_to_wait_for() -> None:
    seen = await observe("first_words")
    assert seen["token"] >= 0
    assert seen["left"] == 0
