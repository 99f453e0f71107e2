"""``python adapter.py --selftest``: does this module work here, without any server?"""

from __future__ import annotations

import json
import traceback
from typing import TYPE_CHECKING, Any

from .calls import Calls

if TYPE_CHECKING:
    from .module_runner import ModuleRunner

FLAG = "--selftest"


def run_selftest(runner: ModuleRunner) -> int:
    """Initialise the module, run its ``selftest()``, clean up. Return the exit code: 0 when it succeeded."""
    calls = Calls()
    runner._performing_self_test = True
    if runner.selftest_check_pkgs:
        runner.check_packages()
    if not _try("initialise", calls, runner._initialiser()):
        return 1
    result = _try("selftest", calls, runner.selftest)
    _try("cleanup", calls, runner.cleanup)
    print(f"Self-test: {json.dumps(result, default=str)}")
    return 0 if isinstance(result, dict) and result.get("success") else 1


def _try(name: str, calls: Calls, function: Any) -> Any:
    """Return what the function returned, or True for nothing; None after an exception, which is printed."""
    try:
        result = calls.invoke(function)
    except Exception:
        print(f"Self-test: {name}() failed")
        traceback.print_exc()
        return None
    return True if result is None else result
