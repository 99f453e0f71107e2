"""The adapter with the real SDK and the built-in model, in LlamaChat's own environment."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub_standin import HubFile, HubStandIn
from tests.support.llamachat_worker import TINY_MODEL, run, run_script

ANSWER = "module"


async def drive(name: str, **settings: str) -> Any:
    environment = {
        "CPAI_MODULE_LLAMA_MODEL_DIR": str(TINY_MODEL.parent),
        "CPAI_MODULE_LLAMA_MODEL_FILENAME": TINY_MODEL.name,
        "CPAI_MODULE_LLAMA_THREADS": "1",
        "CPAI_MODULE_PARALLELISM": "2",
        **settings,
    }
    return await run_script("adapter", name, **environment)


async def test_a_chat_streams_and_ends_with_the_documented_fields() -> None:
    seen = await drive("chat")
    answer = seen["answer"]
    assert seen["how"] == "long"
    assert set(answer) == {"success", "reply", "stop_reason", "usage", "processMs", "inferenceMs"}
    assert answer["success"] is True
    assert answer["reply"] == seen["streamed"]
    assert ANSWER in answer["reply"]
    assert answer["stop_reason"] == "completed"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert all(isinstance(answer[key], int) for key in ("processMs", "inferenceMs"))
    assert seen["second"]["stop_reason"] == "length"
    assert seen["second"]["usage"]["completion_tokens"] == 3
    assert seen["selftest"]["success"]
    assert seen["after"] == ["at once", {"success": False, "error": "The module is stopping."}]


async def test_the_status_says_what_runs_where() -> None:
    status = (await drive("chat"))["status"]
    assert status["modelFile"] == TINY_MODEL.name
    assert (status["device"], status["gpuLayers"], status["threads"], status["slots"]) in [
        ("CPU", 0, 1, 2),
        ("GPU", status["gpuLayers"] or -1, 1, 2),
    ]
    assert status["quantization"]
    assert status["modelSizeMb"] > 0
    assert (status["running"], status["waiting"]) == (0, 0)
    assert status["cachedPromptTokens"] > 0


async def test_what_is_wrong_is_said_at_once() -> None:
    seen = await drive("refusals")
    for name, said in {
        "no prompt": "prompt is empty",
        "empty": "prompt is empty",
        "too long": "tokens, and the context holds 4096",
        "temperature": "temperature must be a number from 0 to 5",
        "messages": "messages is not valid JSON",
    }.items():
        how, answer = seen[name]
        assert (how, answer["success"]) == ("at once", False)
        assert said in answer["error"]
    assert seen["surrogates"][1]["success"]
    assert seen["good"][1]["reply"] == seen["whole"][: seen["whole"].index(seen["stop"])]


async def test_a_cancel_ends_the_reply_and_the_next_chat_is_not_affected() -> None:
    seen = await drive("cancel")
    assert seen["answer"]["success"]
    assert seen["answer"]["stop_reason"] == "cancelled"
    assert seen["answer"]["reply"] == seen["streamed"] != ""
    assert seen["after"][1]["stop_reason"] == "completed"


async def test_a_crash_of_the_engine_is_reported_and_ends_the_process() -> None:
    seen = await drive("crash")
    for how in ("answer", "after"):
        assert seen[how][1]["success"] is False
        assert "out of luck" in seen[how][1]["error"]
    assert seen["exits"] == [70]


async def assert_reported(said: str, **settings: str) -> None:
    seen = await drive("no_model", **settings)
    how, answer = seen["call"]
    assert (how, answer["success"]) == ("at once", False)
    assert said in answer["error"]
    assert seen["status"]["modelLoaded"] is False
    assert seen["status"]["error"] == answer["error"]
    assert seen["selftest"]["success"] is False


async def test_a_missing_model_is_reported_by_every_call(tmp_path: Path) -> None:
    await assert_reported("install.sh --model", CPAI_MODULE_LLAMA_MODEL_DIR=str(tmp_path))


async def test_a_model_that_is_no_gguf_is_reported(tmp_path: Path) -> None:
    (tmp_path / TINY_MODEL.name).write_bytes(b"<html>")
    await assert_reported("not a GGUF file", CPAI_MODULE_LLAMA_MODEL_DIR=str(tmp_path))


@pytest.mark.parametrize("length", [5, 100, 40_000, 2_000_000])
async def test_a_model_that_is_cut_off_is_reported(tmp_path: Path, length: int) -> None:
    (tmp_path / TINY_MODEL.name).write_bytes(TINY_MODEL.read_bytes()[:length])
    await assert_reported("cannot be loaded", CPAI_MODULE_LLAMA_MODEL_DIR=str(tmp_path))


@pytest.mark.parametrize("seed", range(4))
async def test_a_damaged_model_never_kills_the_module(tmp_path: Path, seed: int) -> None:
    chance, content = random.Random(seed), bytearray(TINY_MODEL.read_bytes())
    for _ in range(40):
        content[chance.randrange(4, 60_000)] = chance.randrange(256)
    (tmp_path / TINY_MODEL.name).write_bytes(content)
    await assert_reported("The model file", CPAI_MODULE_LLAMA_MODEL_DIR=str(tmp_path))


async def test_a_model_is_downloaded_in_the_background(tmp_path: Path) -> None:
    async with HubStandIn({"mill/tiny": {"tiny-Q8_0.gguf": HubFile(TINY_MODEL.read_bytes())}}) as hub:
        seen = await drive(
            "download",
            HF_ENDPOINT=hub.url,
            HF_HOME=str(tmp_path / "home"),
            CPAI_MODULE_LLAMA_MODEL_DIR=str(tmp_path / "models"),
            CPAI_MODULE_LLAMA_MODEL_FILENAME="other.gguf",
            CPAI_MODULE_LLAMA_MODEL_REPO="@mill/tiny",
            CPAI_MODULE_LLAMA_MODEL_FILEGLOB="*Q8_0.gguf",
        )
    assert seen["early"][1]["success"] is False
    assert "model" in seen["early"][1]["error"]
    assert seen["early_status"]["modelLoaded"] is False
    assert ANSWER in seen["late"][1]["reply"]
    assert seen["status"]["modelFile"] == "tiny-Q8_0.gguf"


async def test_a_repository_that_is_not_there_is_reported(tmp_path: Path) -> None:
    async with HubStandIn({}) as hub:
        seen = await drive(
            "download",
            HF_ENDPOINT=hub.url,
            HF_HOME=str(tmp_path / "home"),
            CPAI_MODULE_LLAMA_MODEL_DIR=str(tmp_path / "models"),
            CPAI_MODULE_LLAMA_MODEL_REPO="@mill/none",
        )
    assert "no public model repository mill/none" in seen["late"][1]["error"]


async def test_the_self_test_is_the_module_s_own_check() -> None:
    ended = await run(TINY_MODEL.parents[1] / "llama_chat_adapter.py", "--selftest")
    assert ended.code == 0, ended.stderr
