"""Starts a process that leaves its group and session, and would outlive it."""

import subprocess
import sys
from pathlib import Path

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData

SLEEP = "import time; time.sleep(600)"


class LeavesGrandchild(ModuleRunner):
    def initialise(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
        (Path(__file__).parent / "grandchild.pid").write_text(str(child.pid))

    def process(self, data: RequestData) -> JSON:
        return {"success": True}


if __name__ == "__main__":
    LeavesGrandchild().start_loop()
