"""A module that goes wrong in the way that ``MISBEHAVIOUR`` in its environment names."""

from __future__ import annotations

import os
import sys
import threading
import time

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData

WAY = os.environ.get("MISBEHAVIOUR", "")


class Misbehaving(ModuleRunner):
    def initialise(self) -> None:
        if WAY == "initialise raises":
            raise RuntimeError("no model here")
        if WAY == "initialise exits":
            sys.exit("giving up")
        if WAY == "prints garbage":
            sys.stdout.buffer.write(b'\xff\xfe{"type": "result"}\x00\n' * 1000)
            sys.stdout.flush()
        if WAY == "threads hang":
            threading.Thread(target=time.sleep, args=(3600,)).start()

    def process(self, data: RequestData) -> JSON:
        if data.command == "hang":
            time.sleep(3600)
        return {"success": True}

    def module_status(self) -> JSON:
        if WAY == "status raises":
            raise RuntimeError("no status today")
        if WAY == "status hangs":
            time.sleep(3600)
        return {}

    def cleanup(self) -> None:
        print("cleaned up", flush=True)
        if WAY == "cleanup hangs":
            time.sleep(3600)
        if WAY == "cleanup raises":
            raise RuntimeError("cannot clean up")


if __name__ == "__main__":
    Misbehaving().start_loop()
