"""Row ``one-stream``: one chat through the engine beside a bare loop over ``llama_decode`` in the same process."""

from __future__ import annotations

from pathlib import Path

from server.config import ROOT

from ..json_worker import JsonWorker
from ..options import interleaved
from ..processes import BenchmarkError
from ..rows import Row, make_row
from .prompts import question
from .servers import GREEDY, VARIED, Sampling
from .setting import Setting

BARE = "bare llama_decode loop"
CONTEXT = 2048
PROMPT_WORDS = 90
SAMPLINGS = {"greedy": GREEDY, "sampled": VARIED}
WAYS = ("engine", "bare")


class OneStream(JsonWorker):
    """Both ways to generate, in LlamaChat's environment."""

    def __init__(self, python: Path, model: Path, threads: int) -> None:
        script = Path(__file__).with_name("one_stream_worker.py")
        environment = {"PYTHONPATH": str(ROOT / "modules" / "LlamaChat"), "PYTHONDONTWRITEBYTECODE": "1"}
        super().__init__([str(python), str(script), str(model), str(threads), str(CONTEXT)], environment)

    def rate(self, way: str, sampling: Sampling, prompt: str, tokens: int) -> float:
        """Return tokens a second from the first to the last token of a reply. Raises ``BenchmarkError``."""
        answer = self.ask({"way": way, "sampling": sampling, "prompt": prompt, "tokens": tokens})
        if answer["tokens"] != tokens:
            raise BenchmarkError(f"{way} generated {answer['tokens']} tokens instead of {tokens}")
        return float(answer["rate"])


def measure(setting: Setting) -> list[Row]:
    """Measure all rounds. Raises ``BenchmarkError``."""
    seen: dict[tuple[str, str], list[float]] = {(name, way): [] for name in SAMPLINGS for way in WAYS}
    with OneStream(setting.module_python, setting.model, setting.threads) as worker:
        for name, sampling in SAMPLINGS.items():
            for way in interleaved(setting.options, WAYS):
                rates = seen[name, way]
                prompt = question(f"one stream/{name}/{len(rates)}", PROMPT_WORDS)
                rates.append(worker.rate(way, sampling, prompt, setting.tokens))
                setting.options.say(f"one stream, {name}, {way}: {rates[-1]:.1f} tokens/s")
    return [
        make_row(f"llama/one-stream/{name}", "tokens/s", seen[name, "engine"], BARE, seen[name, "bare"])
        for name in SAMPLINGS
    ]
