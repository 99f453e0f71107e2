"""Several models at once, and another model without a restart of the server, with real module processes."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.gguf_models import write_bert
from tests.support.hub_standin import HubFile, HubStandIn
from tests.support.llamachat_server import (
    LONG,
    choose,
    models_folder,
    modules_with_llamachat,
    new_instance,
    process_of,
    wait_model,
)
from tests.support.llamachat_worker import MODULE, TINY_MODEL, run
from tests.support.server_process import ServerProcess, wait_until

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

FILENAME = "CPAI_MODULE_LLAMA_MODEL_FILENAME"


def chat(server: ServerProcess, route: str = "text/chat", **values: Any) -> dict[str, Any]:
    started: dict[str, Any] = server.post(f"/v1/{route}", **{**LONG, **values})
    assert started.get("commandId"), started
    return started


def ended(server: ServerProcess, started: dict[str, Any]) -> dict[str, Any]:
    return server.wait_ended(started["moduleId"], started["commandId"], 120)


def grows(server: ServerProcess, started: dict[str, Any]) -> str:
    """Wait until a reply has begun, and return it."""

    def begun() -> str | None:
        return server.poll(started["moduleId"], started["commandId"]).get("reply") or None

    return wait_until("the reply begins", begun)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """LlamaChat, a second instance with the same model and a smaller context, and one with an embedding model."""
    folder = tmp_path_factory.mktemp("three")
    modules = modules_with_llamachat(folder)
    new_instance(modules, "Second", TINY_MODEL.name)
    new_instance(modules, "Vectors", write_bert(folder / "bert.gguf"))
    settings = json.loads((modules / "Second" / "modulesettings.json").read_text("utf-8"))
    settings["Modules"]["Second"]["EnvironmentVariables"]["CPAI_MODULE_LLAMA_CONTEXT"] = 512
    (modules / "Second" / "modulesettings.json").write_text(json.dumps(settings))
    with ServerProcess(folder, modules) as server:
        for module_id in ("LlamaChat", "Second", "Vectors"):
            server.wait_ready(module_id, 200)
        yield server


def test_three_models_answer_at_once(three: ServerProcess) -> None:
    assert wait_model(three, "LlamaChat", TINY_MODEL.name)["contextSize"] == 4096
    assert wait_model(three, "Second", TINY_MODEL.name)["contextSize"] == 512
    assert wait_model(three, "Vectors", "bert.gguf")["kind"] == "embedding"
    with ThreadPoolExecutor(3) as pool:
        chats = list(pool.map(lambda route: chat(three, route, max_tokens=300), ["text/chat", "text/chat/second"] * 2))
        vectors = list(pool.map(lambda _: three.post("/v1/text/embeddings/vectors", input="the mill"), range(3)))
        answers = list(pool.map(lambda started: ended(three, started), chats))
    assert [started["moduleId"] for started in chats] == ["LlamaChat", "Second"] * 2
    assert {answer["usage"]["completion_tokens"] for answer in answers} == {300}
    assert len({answer["reply"] for answer in answers}) <= 2, "the same model says the same, give or take rounding"
    assert [answer["success"] for answer in vectors] == [True] * 3
    assert {answer["moduleId"] for answer in vectors} == {"Vectors"}
    too_long = three.post("/v1/text/chat/second", prompt="word " * 600)
    assert "the context holds 512" in too_long["error"]


def test_each_says_what_it_cannot_do(three: ServerProcess) -> None:
    assert "makes no vectors" in three.post("/v1/text/embeddings", input="x")["error"]
    assert "cannot chat" in three.post("/v1/text/chat/vectors", prompt="x")["error"]
    assert "There is no route '/v1/text/chat/third'" in three.post("/v1/text/chat/third", prompt="x")["error"]


def test_a_killed_one_does_not_hurt_the_others(three: ServerProcess) -> None:
    kept, lost = chat(three, max_tokens=2000), chat(three, "text/chat/second", max_tokens=400)
    grows(three, kept)
    grows(three, lost)
    pids = {module_id: process_of(three, module_id).pid for module_id in ("LlamaChat", "Second", "Vectors")}
    process_of(three, "Second").kill()
    assert three.post("/v1/text/embeddings/vectors", input="water")["success"]
    assert ended(three, kept)["usage"]["completion_tokens"] == 2000
    assert ended(three, lost).get("reason") in ("module_lost", None), "it may have ended just before"
    three.wait_ready("Second")
    assert ended(three, chat(three, "text/chat/second", max_tokens=5))["success"]
    assert process_of(three, "LlamaChat").pid == pids["LlamaChat"]
    assert process_of(three, "Vectors").pid == pids["Vectors"]
    assert process_of(three, "Second").pid != pids["Second"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """LlamaChat alone, one chat at a time, with three models to choose from."""
    models = models_folder(tmp_path)
    shutil.copyfile(TINY_MODEL, models / "other.gguf")
    write_bert(models / "bert.gguf")
    variables = {"CPAI_MODULE_LLAMA_MODEL_DIR": str(models), FILENAME: TINY_MODEL.name}
    choose(tmp_path, EnvironmentVariables=variables, LaunchSettings={"Parallelism": 1})
    with ServerProcess(tmp_path, modules_with_llamachat(tmp_path)) as running:
        wait_model(running, "LlamaChat", TINY_MODEL.name)
        yield running


def switch(server: ServerProcess, file: str) -> None:
    listed = server.post("/v1/text/models")
    value = next((model["value"] for model in listed["models"] if model["file"] == file), f"@{file}")
    answer = server.post("/v1/settings/LlamaChat", name=listed["setting"], value=value)
    assert answer["success"], answer


def test_the_model_is_switched_and_nothing_that_waits_is_lost(server: ServerProcess) -> None:
    running = chat(server, max_tokens=2500)
    waiting = [chat(server, max_tokens=20) for _ in range(3)]
    said = grows(server, running)
    before = process_of(server, "LlamaChat").pid
    switch(server, "other.gguf")
    assert server.module("LlamaChat")["state"] in ("Stopping", "Installing", "Starting")
    late = chat(server, max_tokens=20)
    whole = ended(server, running)
    assert whole["usage"]["completion_tokens"] == 2500, "what runs is given its time"
    assert whole["reply"].startswith(said)
    answers = [ended(server, each) for each in [*waiting, late]]
    assert [answer["success"] for answer in answers] == [True] * 4
    assert {answer["usage"]["completion_tokens"] for answer in answers} == {20}
    wait_model(server, "LlamaChat", "other.gguf")
    assert process_of(server, "LlamaChat").pid != before
    loaded = [model["file"] for model in server.post("/v1/text/models")["models"] if model["loaded"]]
    assert loaded == ["other.gguf"]


def test_from_chatting_to_vectors_to_nothing_and_back(server: ServerProcess) -> None:
    switch(server, "bert.gguf")
    assert wait_model(server, "LlamaChat", "bert.gguf")["kind"] == "embedding"
    answer = server.post("/v1/text/embeddings", input='["the mill", "water"]')
    assert [len(entry["embedding"]) for entry in answer["data"]] == [32, 32]
    switch(server, "missing.gguf")
    wait_until("it says so", lambda: "no model file" in str(server.post("/v1/text/chat", prompt="x").get("error")), 60)
    shown = wait_until("its status says so", lambda: (server.module("LlamaChat").get("statusData") or {}).get("error"))
    assert "missing.gguf" in shown
    assert "missing.gguf" in server.wait_state("LlamaChat", "NotReady")["stateReason"]
    shutil.copyfile(TINY_MODEL, server.folder / "models" / "missing.gguf")
    wait_model(server, "LlamaChat", "missing.gguf")  # it is taken up as soon as it is there
    switch(server, TINY_MODEL.name)
    assert wait_model(server, "LlamaChat", TINY_MODEL.name)["kind"] == "chat"
    assert ended(server, chat(server, max_tokens=5))["success"]


def test_a_full_path_is_taken_and_said_to_be_loaded(server: ServerProcess) -> None:
    elsewhere = server.folder / "my models" / "Mine it's.GGUF"
    elsewhere.parent.mkdir()
    shutil.copyfile(TINY_MODEL, elsewhere)
    answer = server.post("/v1/settings/LlamaChat", name=FILENAME, value=str(elsewhere))
    assert answer["success"], answer
    wait_model(server, "LlamaChat", elsewhere.name)
    listed = server.post("/v1/text/models")["models"]
    assert [(model["file"], model["folder"]) for model in listed if model["loaded"]] == [
        (str(elsewhere), str(elsewhere.parent))
    ]
    assert ended(server, chat(server, max_tokens=5))["success"]


def test_a_model_that_comes_later_is_taken_up(server: ServerProcess) -> None:
    switch(server, "later.gguf")
    wait_until("it says so", lambda: "no model file" in str(server.post("/v1/text/chat", prompt="x").get("error")), 60)
    pid = process_of(server, "LlamaChat").pid
    shutil.copyfile(TINY_MODEL, server.folder / "models" / "later.gguf")
    wait_model(server, "LlamaChat", "later.gguf")
    assert ended(server, chat(server, max_tokens=5))["success"]
    assert process_of(server, "LlamaChat").pid == pid


async def test_a_downloaded_model_is_taken_up_by_a_running_server(server: ServerProcess) -> None:
    content = TINY_MODEL.read_bytes()
    async with HubStandIn({"mill/tiny": {"fresh-Q8_0.gguf": HubFile(content)}}) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(server.folder / "home"), "HF_TOKEN": ""}

        async def download(*more: str | Path) -> None:
            command: list[str | Path] = [MODULE / "download_model.py", "mill/tiny", *more]
            command += ["--data-dir", server.folder / "data", "--model-dir", server.folder / "models"]
            done = await run(*command, "--modules-dir", server.modules, environment=environment)
            assert done.code == 0, done.stderr

        running = await asyncio.to_thread(chat, server, max_tokens=2000)
        await download()
        await asyncio.to_thread(wait_model, server, "LlamaChat", "fresh-Q8_0.gguf")
        assert (await asyncio.to_thread(ended, server, running))["usage"]["completion_tokens"] == 2000
        await download("--as", "Coder")
        await asyncio.to_thread(wait_model, server, "Coder", "fresh-Q8_0.gguf")
        answer = await asyncio.to_thread(lambda: ended(server, chat(server, "text/chat/coder", max_tokens=5)))
        assert answer["success"]
        await download("--as", "Coder")
    user = json.loads((server.folder / "data" / "modulesettings.json").read_text("utf-8"))
    assert user["Modules"]["Coder"]["EnvironmentVariables"][FILENAME] == "@fresh-Q8_0.gguf"
