"""Works, and stops as a whole when it is told to: alive, and deaf."""

import os
import signal

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class GoesSilent(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        os.kill(os.getpid(), signal.SIGSTOP)
        return {"success": True}


if __name__ == "__main__":
    GoesSilent().start_loop()
