"""Writing small GGUF files."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

F32, F16 = 0, 1
_UINT32, _INT32, _FLOAT, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_ALIGNMENT = 32
_LISTS = ((str, _STRING, ""), (float, _FLOAT, "f"), (int, _INT32, "i"))

Value = str | bool | int | float | Sequence[str] | Sequence[int] | Sequence[float]


@dataclass(frozen=True)
class Tensor:
    """``shape`` has the fastest dimension first; ``kind`` is how GGUF numbers the type of what is in ``data``."""

    shape: tuple[int, ...]
    kind: int
    data: bytes


@dataclass
class GgufFile:
    """Values by key, and tensors by name."""

    values: dict[str, Value]
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def add(self, name: str, shape: tuple[int, ...], numbers: Sequence[float]) -> None:
        """Add a tensor of 32-bit numbers."""
        self.tensors[name] = Tensor(shape, F32, struct.pack(f"<{len(numbers)}f", *numbers))

    def write(self, path: Path) -> Path:
        """Write the file, and return its path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        head = [struct.pack("<4sIQQ", b"GGUF", 3, len(self.tensors), len(self.values))]
        head += [_text(key) + _value(value) for key, value in self.values.items()]
        parts, size = [], 0
        for name, tensor in self.tensors.items():
            layout = f"<I{len(tensor.shape)}QIQ"
            head.append(_text(name) + struct.pack(layout, len(tensor.shape), *tensor.shape, tensor.kind, size))
            parts.append(_padded(tensor.data))
            size += len(parts[-1])
        path.write_bytes(_padded(b"".join(head)) + b"".join(parts))
        return path


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT, value)
    kind, form = next((kind, form) for sort, kind, form in _LISTS if isinstance(value[0], sort))
    items = b"".join(_text(item) if isinstance(item, str) else struct.pack(f"<{form}", item) for item in value)
    return struct.pack("<IIQ", _ARRAY, kind, len(value)) + items


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)
