"""Conversations that LlamaChat remembers on disk: over restarts, kills, damage, and for nobody else."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.llamachat_server import LONG, modules_with_llamachat, process_of
from tests.support.llamachat_worker import MODULE, ROOT, TINY_MODEL, run_script
from tests.support.server_process import ServerProcess, wait_until

PATHS = os.pathsep.join(map(str, (MODULE, ROOT / "sdk", ROOT)))


async def observe(name: str, folder: Path, script: str = "prompt_cache") -> Any:
    return await run_script(script, name, folder / "cache", PYTHONPATH=PATHS)


async def test_the_next_turn_after_a_restart_works_only_on_what_is_new(tmp_path: Path) -> None:
    seen = await observe("next_turn", tmp_path)
    assert seen["cold"] == 0
    assert seen["cached"] == seen["warm"] == seen["said"], "the disk remembers as much as the memory"
    assert seen["decoded"] == seen["prompt"] - seen["cached"]
    assert seen["text"] == seen["expected"]
    assert seen["figures"][:3] == [seen["said"], 1, 0]
    assert seen["again"] == seen["prompt"] - 1
    assert seen["hits"] == [1, 1]
    assert seen["mode"] == "0o700", "what was said is nobody else's business"


async def test_damaged_and_foreign_entries_are_ignored(tmp_path: Path) -> None:
    seen = await observe("damaged", tmp_path)
    expected, unpickled = seen.pop("expected"), seen.pop("unpickled")
    assert len(seen) == 8
    for harm, result in seen.items():
        assert result["text"] == expected, harm
        assert result["cached"] == 0, harm
        assert result["stores"] is True, harm
        assert result["after"] > 250, f"{harm}: what is stored anew is found"
    assert not unpickled


async def test_states_of_another_model_or_llama_cpp_are_not_used(tmp_path: Path) -> None:
    seen = await observe("other_models", tmp_path)
    assert seen["copy"] == seen["back"] == seen["same version"] == seen["prompt"] - 1
    assert seen["changed"] == seen["other version"] == 0


async def test_the_least_recently_used_leave_when_the_limit_is_reached(tmp_path: Path) -> None:
    seen = await observe("limit", tmp_path)
    assert max(seen["used"]) <= 4 * 1024 * 1024
    always_used, newest, oldest = seen["cached"]
    assert (always_used, newest) == (299, 299)
    assert oldest == 0
    assert max(seen["smaller"]) <= 512 * 1024


async def test_a_disk_that_fails_is_no_reason_to_fail_a_chat(tmp_path: Path) -> None:
    seen = await observe("failing_disk", tmp_path)
    assert all(result["right"] for result in seen.values())
    assert not any(result["stores"] for result in seen.values())
    for name in ("a file", "below a file", "other files", "full", "locked later"):
        [line] = seen[name]["said"]
        assert "not remembered on disk any more" in line


async def test_two_engines_use_one_folder(tmp_path: Path) -> None:
    seen = await observe("shared_folder", tmp_path)
    assert len(seen["expected"]) >= seen["asked"] * 0.2
    assert seen["one"] == seen["other"] == seen["restored"] == seen["expected"]
    assert min(seen["cached"]) >= seen["system"]
    assert seen["said"] == []


async def test_two_processes_use_one_folder(tmp_path: Path) -> None:
    for seen in await asyncio.gather(*(observe("shared_folder", tmp_path) for _ in range(2))):
        assert seen["one"] == seen["other"] == seen["restored"] == seen["expected"]
        assert min(seen["cached"]) >= seen["system"]
        assert seen["said"] == []


async def test_a_stranger_with_the_same_system_prompt_profits_after_a_restart(tmp_path: Path) -> None:
    seen = await observe("stranger", tmp_path)
    assert min(seen["cached"]) >= seen["system"]
    assert seen["texts"] == [seen["expected"]] * 4


async def test_what_llama_cpp_does_not_take_is_computed_and_stored_anew(tmp_path: Path) -> None:
    seen = await observe("not_taken", tmp_path)
    assert (seen["text"], seen["cached"]) == (seen["expected"], 0)
    assert seen["anew"] > 0
    assert seen["after"] > 250


async def test_a_chat_that_had_to_leave_the_memory_comes_back_from_the_disk(tmp_path: Path) -> None:
    seen = await observe("taking_turns", tmp_path)
    assert seen["cached"] == seen["said"]
    assert seen["text"] == seen["expected"]
    assert seen["other"] == [0, 100]
    assert (seen["evictions"], seen["hits"]) == (3, [2, 0])


async def test_nobody_ever_gets_text_of_another_chat_from_the_disk(tmp_path: Path) -> None:
    seen = await observe("canaries", tmp_path)
    assert seen["wrong"] == []
    assert seen["clear"] >= 0.5
    assert seen["compared"] > 50
    assert seen["cancelled"] > 10
    assert seen["evictions"] > 10
    assert seen["hits"] > 10
    assert seen["restored"] > 0
    assert seen["used"] <= 1.5 * 1024 * 1024
    assert seen["said"] == []


async def test_a_chat_that_waits_for_the_disk_can_be_cancelled_and_closed(tmp_path: Path) -> None:
    seen = await observe("cancel_while_restoring", tmp_path)
    assert seen["reasons"] == ["cancelled", "completed"]
    assert seen["text"] == seen["expected"]
    assert seen["cached"][0] == 0
    assert seen["cached"][1] > 250
    assert seen["beside"] == "length"
    assert seen["said"] == "The module is stopping."


async def test_a_long_prompt_is_remembered_before_its_reply_has_ended(tmp_path: Path) -> None:
    seen = await observe("long_prompt_and_kill", tmp_path)
    assert seen["cached"] >= seen["full"] > 1000
    assert seen["prompt"] - seen["full"] < 256
    assert seen["text"] == seen["expected"] or not seen["clear"]


async def test_a_process_killed_while_it_saves_leaves_a_cache_that_works(tmp_path: Path) -> None:
    seen = await observe("killed_while_saving", tmp_path)
    assert seen["found"] == [[True] * 3, [True] * 6, [True] * 9]
    assert seen["left"] > 9, "each left half a file behind"
    assert seen["files"] == seen["pieces"] == 9


async def test_models_that_cannot_go_back_get_what_they_can_use(tmp_path: Path) -> None:
    seen = await observe("other_kinds", tmp_path, "states")
    for result in seen.values():
        assert result["clear"] > 0
        assert result["seen"] == [[True, 0]] * result["clear"]


async def test_states_of_an_unknown_layout_are_used_whole_and_the_log_says_so(tmp_path: Path) -> None:
    seen = await observe("other_layout", tmp_path, "states")
    assert seen["known"] == []
    assert len(seen["said"]) == 2
    assert "unknown way" in seen["said"][0]
    assert seen["right"]
    assert seen["shared"] >= seen["system"]
    assert seen["restored"] >= seen["prompt"] // 2


async def test_states_are_cut_and_joined_as_llama_cpp_would_write_them(tmp_path: Path) -> None:
    seen = await observe("cut_and_join", tmp_path, "states")
    assert all(seen.pop("keys only").values())
    assert len(seen) == 2
    for result in seen.values():
        assert result.pop("pieces") == 3
        assert result.pop("swapped") is False
        assert result.pop("outside") == [True] * 3
        assert all(result.values()), result


async def test_saving_takes_a_twentieth_of_the_time_of_running_chats(tmp_path: Path) -> None:
    seen = await observe("saving_share", tmp_path, "states")
    assert seen["busy"] == [[4, 0.0], [3, 39.0], [2, 40.0], [1, 79.0]]
    assert seen["then"] == [0]


async def test_the_status_shows_the_settings_in_use_and_the_true_device(tmp_path: Path) -> None:
    settings = {
        "MODEL_DIR": str(TINY_MODEL.parent),
        "MODEL_FILENAME": TINY_MODEL.name,
        "BATCH": "3",
        "PROMPT_CACHE_DIR": str(tmp_path / "cache"),
        "PROMPT_CACHE_MB": "7",
    }
    variables = {f"CPAI_MODULE_LLAMA_{name}": value for name, value in settings.items()}
    status = (await run_script("adapter", "chat", **variables, CPAI_MODULE_PARALLELISM="2"))["status"]
    assert (status["batch"], status["slots"]) == (512, 2), "a value out of range is not used"
    assert status["deviceName"]
    assert status["promptCacheOn"] is True
    assert status["promptCacheFolder"] == str(tmp_path / "cache")
    assert (status["promptCacheLimitMb"], status["evictions"], status["rememberedChats"]) == (7.0, 0, 1)
    assert status["memoryHits"] == 1
    assert status["promptTokensPerSecond"] > 0
    off = {**variables, "CPAI_MODULE_LLAMA_PROMPT_CACHE_MB": "0"}
    status = (await run_script("adapter", "chat", **off))["status"]
    assert (status["promptCacheOn"], status["promptCacheFolder"], status["promptCacheMb"]) == (False, None, 0.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, modules_with_llamachat(tmp_path)) as server:
        server.wait_ready("LlamaChat", 600)
        yield server


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_a_module_killed_while_it_generates_goes_on_from_its_cached_state(server: ServerProcess) -> None:
    asked = "What is a module?"
    first = chat(server, prompt=asked, max_tokens=40)
    usage = first["usage"]
    wait_until("the first turn is on the disk", lambda: status(server).get("promptCacheEntries"), 60)

    history = json.dumps([[asked, first["reply"]]])
    again = server.post("/v1/text/chat", history=history, **LONG, max_tokens=4000)
    wait_until("some text", lambda: server.poll("LlamaChat", again["commandId"]).get("reply"))
    killed = process_of(server, "LlamaChat")
    killed.kill()
    assert server.wait_ended("LlamaChat", again["commandId"])["success"] is False
    wait_until("a new process", lambda: status(server).get("generatedTokens") == 0, 120)

    second = chat(server, prompt="How do I poll a command?", history=history, max_tokens=40)
    cached = second["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached >= usage["prompt_tokens"] + usage["completion_tokens"] - 1
    shown = wait_until("the status shows it", lambda: status(server) if status(server).get("diskHits") else None, 60)
    assert shown["restoredPromptTokens"] == cached
    assert Path(shown["promptCacheFolder"]).stat().st_mode & 0o777 == 0o700


def chat(server: ServerProcess, **values: Any) -> dict[str, Any]:
    started = server.post("/v1/text/chat", temperature=0, **values)
    ended = server.wait_ended("LlamaChat", started["commandId"])
    assert ended["success"], ended
    return ended


def status(server: ServerProcess) -> dict[str, Any]:
    shown: dict[str, Any] = server.module("LlamaChat").get("statusData") or {}
    return shown
