"""What the benchmarks ask of a module on our SDK: nothing at all, a file's size, a token stream, a flood of events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class Bench(ModuleRunner):
    """One method for each route; long ones wait for ``go`` when they are told to, so that all of them begin at once."""

    def initialise(self) -> None:
        """Prepare the starting signal."""
        self._go = threading.Event()

    def process(self, data: RequestData) -> JSON | Callable[[RequestData], JSON]:
        """Do what the route says."""
        match data.command:
            case "tokens":
                return self.tokens
            case "flood":
                return self.flood
            case "size":
                return {"success": True, "size": len(data.get_file_bytes(0) or b"")}
            case "go":
                go, self._go = self._go, threading.Event()
                go.set()
            case _:
                pass
        return {"success": True, "output": data.get_value("n")}

    def tokens(self, data: RequestData) -> JSON:
        """Write ``count`` time stamps, ``rate`` a second."""
        self._begin(data)
        pause, begin = 1 / float(data.get_value("rate")), time.monotonic()
        for number in range(1, int(data.get_value("count")) + 1):
            if data.reply.cancelled:
                break
            data.reply.write(f"@{time.monotonic_ns()};")
            time.sleep(max(0.0, begin + number * pause - time.monotonic()))
        return {"success": True}

    def flood(self, data: RequestData) -> JSON:
        """Make ``count`` events as fast as can be. Text and fields take turns: neighbours of a kind would be merged."""
        self._begin(data)
        for number in range(int(data.get_value("count")) // 2):
            data.reply.write("x")
            data.reply.update(step=number)
        return {"success": True}

    def _begin(self, data: RequestData) -> None:
        if data.get_value("wait"):
            go = self._go
            data.reply.update(waiting=True)
            go.wait()


if __name__ == "__main__":
    Bench().start_loop()
