"""A module without a ``process()`` of its own is refused, and the misspelled one is named."""

from __future__ import annotations

from codeproject_ai_sdk import JSON, ModuleRunner, RequestData
from codeproject_ai_sdk.own_methods import missing_process


class Whole(ModuleRunner):
    def process(self, data: RequestData) -> JSON:
        return {"success": True}


class Inherits(Whole):
    pass


class Misspelled(ModuleRunner):
    def proces(self, data: RequestData) -> JSON:
        return {"success": True}


class Bare(ModuleRunner):
    def help(self) -> None:
        pass


def test_who_has_one_is_fine() -> None:
    late = Bare()
    late.process = lambda data: {"success": True}  # type: ignore[method-assign]
    assert [missing_process(module, ModuleRunner) for module in (Whole(), Inherits(), late)] == ["", "", ""]


def test_who_has_none_is_told_which_one_may_be_meant() -> None:
    assert missing_process(Misspelled(), ModuleRunner) == (
        "Misspelled has no method process(self, data), which answers its requests. Is it the one called 'proces'?"
    )
    assert missing_process(Bare(), ModuleRunner) == (
        "Bare has no method process(self, data), which answers its requests."
    )
