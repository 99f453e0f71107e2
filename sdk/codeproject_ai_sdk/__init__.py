"""The SDK that Millrace modules are written with.

A module subclasses ``ModuleRunner``::

    from codeproject_ai_sdk import JSON, ModuleRunner, RequestData

    class Upper(ModuleRunner):
        def process(self, data: RequestData) -> JSON:
            return {"success": True, "text": data.get_value("text", "").upper()}

    if __name__ == "__main__":
        Upper().start_loop()
"""

from .common import (
    JSON,
    LongProcess,
    check_installed_packages,
    dump_tensors,
    get_folder_size,
    shorten,
    timedelta_format,
)
from .module_logging import LogMethod, LogVerbosity
from .module_options import ModuleOptions
from .module_runner import ModuleRunner
from .reply import Reply
from .request_data import RequestData
from .system_info import SystemInfo
from .version import __version__

__all__ = [
    "JSON",
    "LogMethod",
    "LogVerbosity",
    "LongProcess",
    "ModuleOptions",
    "ModuleRunner",
    "Reply",
    "RequestData",
    "SystemInfo",
    "__version__",
    "check_installed_packages",
    "dump_tensors",
    "get_folder_size",
    "shorten",
    "timedelta_format",
]
