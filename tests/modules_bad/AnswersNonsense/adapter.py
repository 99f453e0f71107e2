"""Answers with what cannot be written as JSON."""

from typing import Any

from codeproject_ai_sdk import ModuleRunner, RequestData


class AnswersNonsense(ModuleRunner):
    def process(self, data: RequestData) -> Any:
        if data.get_value("well", ""):
            return {"success": True}
        return {"success": True, "answer": {1, 2, 3}, "channel": object()}


if __name__ == "__main__":
    AnswersNonsense().start_loop()
