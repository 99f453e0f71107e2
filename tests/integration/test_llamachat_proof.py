"""The proof of LlamaChat's llama.cpp, with the one that is installed."""

from __future__ import annotations

import re

import pytest
from proof.cpu_flags import cpu_flags

from tests.support.llamachat_worker import MODULE, SCRIPTS, run

FORMATS = ("F16", "Q8_0", "Q4_0", "Q4_K", "Q6_K")


async def test_the_installed_llama_cpp_proves_itself() -> None:
    ended = await run(MODULE / "prove_llama_cpp.py")
    assert ended.code == 0, ended.stderr
    said = dict(re.findall(r"(\w+) (\d\.\d+)", ended.stdout))
    assert set(said) == set(FORMATS)
    assert all(0 < float(value) < 0.15 for value in said.values())


async def test_it_proves_itself_without_repacked_weights() -> None:
    ended = await run(MODULE / "prove_llama_cpp.py", environment={"CPAI_MODULE_LLAMA_EXTRA_BUFFERS": "false"})
    assert ended.code == 0, ended.stderr


@pytest.mark.skipif("amx_tile" not in (cpu_flags() or ()), reason="this processor has no AMX")
async def test_it_proves_itself_with_amx() -> None:
    script = "import llama_cpp; print(llama_cpp.llama_print_system_info().decode())"
    assert "AMX_INT8 = 1" in (await run("-c", script)).stdout, "the build that was chosen has given AMX away"
    ended = await run(MODULE / "prove_llama_cpp.py")
    assert ended.code == 0, ended.stderr


@pytest.mark.parametrize(
    ("form", "matrix", "every"),
    [("F16", "output", "2"), ("Q4_0", "blk.0.attn_v", "2"), ("Q8_0", "blk.1.ffn_up", "8"), ("Q4_K", "token_embd", "8")],
)
async def test_a_part_of_one_matrix_lost_is_noticed(form: str, matrix: str, every: str) -> None:
    ended = await run(SCRIPTS / "llamachat_damaged.py", form, matrix, every)
    assert ended.code == 1
    assert f"{form}: the log-probabilities are wrong by" in ended.stderr
