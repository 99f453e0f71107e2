"""A long process that never looks whether it is cancelled, beside one that waits quietly."""

import time
from collections.abc import Callable

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class IgnoresCancel(ModuleRunner):
    def process(self, data: RequestData) -> Callable[[RequestData], JSON]:
        return self.work if data.get_value("stubborn", "") else self.be_quiet

    def work(self, data: RequestData) -> JSON:
        data.reply.write("working")
        while True:
            time.sleep(0.05)

    def be_quiet(self, data: RequestData) -> JSON:
        until = time.monotonic() + data.get_float("seconds", 2.0)
        while time.monotonic() < until:
            time.sleep(0.05)
        data.reply.write("done")
        return {"success": True}


if __name__ == "__main__":
    IgnoresCancel().start_loop()
