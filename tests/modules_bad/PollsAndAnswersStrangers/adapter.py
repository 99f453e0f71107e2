"""Long-polls as modules on the published SDK do, and first answers what nobody asked it."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_polls  # type: ignore[import-not-found]


def answer(request: dict[str, Any]) -> None:
    strange = [raw_polls.post(name, answer="?") for name in ("nobody", raw_polls.value(request, "ended"))]
    raw_polls.post(request["reqid"], answer="mine", strange=strange)


if __name__ == "__main__":
    raw_polls.run(answer)
