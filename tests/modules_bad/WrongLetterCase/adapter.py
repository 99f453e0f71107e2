"""Its settings file is written with capital letters."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class WrongLetterCase(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        return {"success": True}


if __name__ == "__main__":
    WrongLetterCase().start_loop()
