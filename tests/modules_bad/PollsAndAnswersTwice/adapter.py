"""Long-polls as modules on the published SDK do, and answers twice."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_raw"))

import raw_polls  # type: ignore[import-not-found]


def answer(request: dict[str, Any]) -> None:
    again = [raw_polls.post(request["reqid"], answer=text) for text in ("first", "second")]
    STATUSES.write_text(str(again))


STATUSES = Path(__file__).with_name("statuses")


if __name__ == "__main__":
    raw_polls.run(answer)
