"""LitServe as its documentation shows it: one worker that returns what it is given. Run in LitServe's environment."""

from __future__ import annotations

import importlib
import sys
from typing import Any

litserve: Any = importlib.import_module("litserve")


class Echo(litserve.LitAPI):  # type: ignore[misc]
    """Does nothing."""

    def setup(self, device: str) -> None:
        """Load nothing."""

    def predict(self, request: Any) -> dict[str, Any]:
        """Return the value."""
        return {"success": True, "output": request["n"]}


if __name__ == "__main__":
    server = litserve.LitServer(Echo(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")
