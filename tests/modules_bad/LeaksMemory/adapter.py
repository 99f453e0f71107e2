"""Uses more memory with every command, and has a limit."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class LeaksMemory(ModuleRunner):
    def initialise(self) -> None:
        self.leak: list[bytes] = []

    def process(self, data: RequestData) -> JSON:
        self.leak.append(b"x" * data.get_int("mb", 0) * 1024 * 1024)
        return {"success": True, "leaks": len(self.leak)}


if __name__ == "__main__":
    LeaksMemory().start_loop()
