"""The bill of materials: what is in the lock, as CycloneDX, which tools that know of vulnerabilities read."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .lock import Locked

NAME = "sbom.cdx.json"
_SERVER = "millrace"


def text_of(entries: Sequence[Locked]) -> str:
    """The bill of these entries, as JSON; the same entries always give the same text."""
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{_serial(entries)}",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": _SERVER, "name": _SERVER}},
        "components": [_component(entry) for entry in entries],
        "dependencies": [
            {"ref": _SERVER, "dependsOn": _needed_by(_SERVER, entries)},
            *({"ref": _purl(entry), "dependsOn": _needed_by(entry.name, entries)} for entry in entries),
        ],
    }
    return json.dumps(bill, indent=2) + "\n"


def _serial(entries: Sequence[Locked]) -> uuid.UUID:
    """A number that changes with what is locked, and with nothing else."""
    digest = hashlib.sha256("\n".join(sorted(f"{one.name}=={one.version}" for one in entries)).encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=4)


def _component(entry: Locked) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(entry),
        "name": entry.name,
        "version": entry.version,
        "purl": _purl(entry),
    }
    if entry.marker:
        component["properties"] = [{"name": "millrace:only-where", "value": entry.marker}]
    return component


def _needed_by(name: str, entries: Sequence[Locked]) -> list[str]:
    return [_purl(entry) for entry in entries if name in entry.wanted_by]


def _purl(entry: Locked) -> str:
    return f"pkg:pypi/{entry.name}@{entry.version}"
