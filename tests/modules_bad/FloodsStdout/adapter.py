"""Prints far more than anybody reads, one endless line among it, and works all the same."""

import sys

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class FloodsStdout(ModuleRunner):
    def initialise(self) -> None:
        for number in range(50_000):
            print(f"line {number}")
        sys.stdout.write("x" * 3_000_000 + "\n")

    def process(self, data: RequestData) -> JSON:
        return {"success": True, "answer": "still here"}


if __name__ == "__main__":
    FloodsStdout().start_loop()
