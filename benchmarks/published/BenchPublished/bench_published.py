"""What the benchmarks ask of a module on the published SDK: nothing at all."""

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData


class BenchPublished(ModuleRunner):
    """Answers at once."""

    async def process(self, data: RequestData) -> JSON:
        """Return the smallest answer."""
        return {"success": True, "output": data.get_value("n")}


if __name__ == "__main__":
    BenchPublished().start_loop()
