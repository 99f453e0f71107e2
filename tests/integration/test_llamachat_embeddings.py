"""Embedding models with random weights, in LlamaChat's own environment."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.gguf_models import CLS, LAST, MEAN, RANK, WIDTH, write_bert, write_causal, write_t5_encoder
from tests.support.llamachat_worker import TINY_MODEL, run_script

MODELS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "encoder, mean": (lambda folder: write_bert(folder / "m.gguf", MEAN), "mean"),
    "encoder, first token": (lambda folder: write_bert(folder / "m.gguf", CLS), "cls"),
    "encoder, nothing said": (lambda folder: write_bert(folder / "m.gguf", None), "mean"),
    "decoder, last token": (lambda folder: write_causal(folder / "m.gguf", LAST), "last"),
    "decoder, mean": (lambda folder: write_causal(folder / "m.gguf", MEAN), "mean"),
    "encoder of a T5": (lambda folder: write_t5_encoder(folder / "m.gguf"), "mean"),
}
SAME = pytest.approx(1, abs=1e-4)


async def drive(name: str, model: Path, **settings: str) -> Any:
    environment = {
        "CPAI_MODULE_LLAMA_MODEL_DIR": str(model.parent),
        "CPAI_MODULE_LLAMA_MODEL_FILENAME": model.name,
        "CPAI_MODULE_LLAMA_THREADS": "1",
        **settings,
    }
    return await run_script("embeddings", name, **environment)


@pytest.mark.parametrize("sort", MODELS)
async def test_each_text_gets_its_own_vector_whatever_is_asked_beside_it(tmp_path: Path, sort: str) -> None:
    write, pooling = MODELS[sort]
    seen = await run_script("embeddings", "vectors", write(tmp_path))
    assert (seen["pooling"], seen["dimensions"], seen["limit"]) == (pooling, WIDTH, 64)
    assert seen["tokens"][0] == seen["tokens"][1] > 0
    assert seen["lengths"] == [pytest.approx(1, abs=1e-5)] * 5
    assert seen["alone"] == [SAME] * 5
    assert seen["threaded"] == [SAME] * 5
    assert seen["different"] < 0.9999, "the texts have different vectors"


@pytest.mark.parametrize("sort", [sort for sort in MODELS if sort != "encoder of a T5"])
async def test_the_vectors_are_those_of_llama_cpp_itself(tmp_path: Path, sort: str) -> None:
    told = str(MEAN) if sort == "encoder, nothing said" else ""
    seen = await run_script("embeddings", "reference", MODELS[sort][0](tmp_path), told)
    assert min(seen["cosines"]) > 0.9999


async def test_texts_are_put_together_into_batches_as_long_as_the_limit(tmp_path: Path) -> None:
    seen = await run_script("embeddings", "batches", write_bert(tmp_path / "m.gguf"))
    limit = seen["limit"]
    full = seen["groups"][:4]
    assert full[:3] == [[limit], [3], [limit]]
    assert all(sum(group) <= limit and len(group) <= 32 for group in seen["groups"])
    assert sum(map(len, seen["groups"][3:])) >= 70
    assert max(map(len, seen["groups"])) > 10, "short texts share a batch"
    assert "cancelled" in seen["cancelled"]
    assert f"Text 1 is too long: it has {limit + 3} tokens, and the limit is {limit}." in seen["long"]


async def test_the_route_answers_in_the_shape_of_openai(tmp_path: Path) -> None:
    seen = await drive("adapter", write_bert(tmp_path / "models" / "tiny.gguf"))
    whole = seen["whole"]
    assert set(whole) == {"success", "object", "data", "model", "usage", "processMs", "inferenceMs"}
    assert (whole["success"], whole["object"], whole["model"]) == (True, "list", "Tiny encoder")
    assert [entry["index"] for entry in whole["data"]] == [0, 1, 2, 3, 4]
    assert {entry["object"] for entry in whole["data"]} == {"embedding"}
    assert whole["usage"]["prompt_tokens"] == whole["usage"]["total_tokens"] > 5
    assert seen["fields"]["data"] == whole["data"]
    first = whole["data"][0]["embedding"]
    assert len(first) == WIDTH
    assert seen["decoded"] == pytest.approx(first, abs=1e-6)
    shorter = seen["shorter"]["data"][0]["embedding"]
    length = sum(number**2 for number in first[:8]) ** 0.5
    assert shorter == pytest.approx([number / length for number in first[:8]], abs=1e-5)
    assert seen["bracket"]["success"], "a text that only begins like a list"


async def test_the_module_says_what_it_is_and_that_it_cannot_chat(tmp_path: Path) -> None:
    seen = await drive("adapter", write_causal(tmp_path / "models" / "tiny.gguf", LAST))
    status = seen["status"]
    assert (status["kind"], status["modelLoaded"], status["model"]) == ("embedding", True, "Tiny llama")
    assert (status["pooling"], status["dimensions"], status["contextSize"]) == ("last", WIDTH, 64)
    assert seen["selftest"]["success"]
    assert seen["chat"]["success"] is False
    assert "cannot chat" in seen["chat"]["error"]
    assert "docs/chatting.md" in seen["chat"]["error"]
    assert "stopping" in seen["after"]["error"]


async def test_what_is_wrong_with_a_request_is_said(tmp_path: Path) -> None:
    refusals = (await drive("adapter", write_bert(tmp_path / "models" / "tiny.gguf")))["refusals"]
    assert {answer["success"] for answer in refusals.values()} == {False}
    for name, said in {
        "nothing": "input is missing",
        "an empty list": "input is missing",
        "numbers": "JSON list of texts",
        "too many": "at most 2048 texts, not 2049",
        "too much": "at most 4194304 characters",
        "too long": "Text 1 is too long: it has 502 tokens, and the limit is 64",
        "format": "float or base64",
        "dimensions": "from 1 to 32",
        "no dimensions": "from 1 to 32",
    }.items():
        assert said in refusals[name]["error"], name


async def test_a_chat_model_makes_no_vectors_and_goes_on_chatting() -> None:
    seen = await drive("chat_model", TINY_MODEL)
    assert seen["embed"]["success"] is False
    assert "makes no vectors" in seen["embed"]["error"]
    assert seen["status"]["kind"] == "chat"
    assert seen["chat"]["success"] is True
    assert seen["chat"]["reply"]


@pytest.mark.parametrize("sort", ["ranks", "chats", "damaged"])
async def test_what_makes_no_vectors_is_refused(tmp_path: Path, sort: str) -> None:
    path = tmp_path / "m.gguf"
    if sort == "ranks":
        write_bert(path, RANK)
    elif sort == "chats":
        write_causal(path, None)
    else:
        path.write_bytes(write_bert(path).read_bytes()[:200])
    seen = await run_script("embeddings", "refuses", path)
    said = {"ranks": "is for reranking", "chats": "is for chat", "damaged": "damaged or incomplete"}
    assert said[sort] in seen["said"]


async def test_the_models_of_the_folder_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copyfile(TINY_MODEL, folder / "b.gguf")
    write_bert(folder / "sub" / "a.gguf")
    write_bert(folder / "rank.gguf", RANK)
    (folder / "broken.gguf").write_bytes(b"GGUF and no more")
    (folder / "mmproj-b.gguf").write_bytes(b"GGUF")
    (folder / "half.gguf.123.part").write_bytes(b"GGUF")
    for part in (1, 2, 3):
        (folder / f"big-{part:05}-of-00003.gguf").write_bytes(b"GGUF" + b"\0" * 1024 * 1024 * part)
    answer = (await drive("models", folder / "b.gguf"))["models"]
    assert (answer["success"], answer["setting"]) == (True, "CPAI_MODULE_LLAMA_MODEL_FILENAME")
    found = {entry["file"]: entry for entry in answer["models"]}
    assert list(found) == ["b.gguf", "big-00001-of-00003.gguf", "broken.gguf", "rank.gguf", "sub/a.gguf"]
    assert {name: entry["kind"] for name, entry in found.items()} == {
        "b.gguf": "chat",
        "big-00001-of-00003.gguf": "damaged",
        "broken.gguf": "damaged",
        "rank.gguf": "reranking",
        "sub/a.gguf": "embedding",
    }
    assert [name for name, entry in found.items() if entry["loaded"]] == ["b.gguf"]
    assert found["sub/a.gguf"]["value"] == "@sub/a.gguf"
    assert found["sub/a.gguf"]["name"] == "Tiny encoder"
    assert found["big-00001-of-00003.gguf"]["sizeMb"] == 6.0


async def test_models_are_listed_when_none_is_loaded(tmp_path: Path) -> None:
    write_bert(tmp_path / "a.gguf")
    seen = await drive("models", tmp_path / "missing.gguf")
    assert [(entry["file"], entry["loaded"]) for entry in seen["models"]["models"]] == [("a.gguf", False)]
    assert seen["status"]["modelLoaded"] is False
