"""Images as people have them: cut off, slightly damaged, or none at all."""

from __future__ import annotations

import base64
import io
import json
import threading
from typing import Any

import pytest
from codeproject_ai_sdk import RequestData
from codeproject_ai_sdk.images import decode_pil
from PIL import Image, ImageFile


def picture() -> Image.Image:
    """Four squares of one colour each."""
    image = Image.new("RGB", (64, 64))
    for x, y, colour in ((0, 0, "red"), (32, 0, "lime"), (0, 32, "blue"), (32, 32, "white")):
        image.paste(colour, (x, y, x + 32, y + 32))
    return image


def saved(kind: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, kind, **how)
    return buffer.getvalue()


def near(colour: Any, expected: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(colour, expected, strict=True))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_whole_images(kind: str) -> None:
    image = decode_pil(saved(kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert (image.mode, image.size) == ("RGB", (64, 64))
    assert near(image.getpixel((5, 5)), (255, 0, 0))


@pytest.mark.parametrize(
    ("kind", "how", "missing"),
    [
        ("JPEG", {}, 1),
        ("JPEG", {}, 2),
        ("JPEG", {"progressive": True}, 2),
        ("JPEG", {"quality": 95}, 40),
        ("PNG", {}, 12),
        ("PNG", {}, 20),
        ("BMP", {}, 100),
    ],
)
def test_an_image_that_lacks_its_end_opens(kind: str, how: dict[str, Any], missing: int) -> None:
    image = decode_pil(saved(kind, **how)[:-missing])
    assert (image.mode, image.size) == ("RGB", (64, 64))
    corner = (5, 58) if kind == "BMP" else (5, 5)  # a bitmap begins at the bottom
    assert near(image.getpixel(corner), (0, 0, 255) if kind == "BMP" else (255, 0, 0))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_request_with_a_cut_off_image() -> None:
    data = base64.b64encode(saved("JPEG")[:-2]).decode()
    request = {"reqid": "1", "payload": {"files": [{"name": "image", "filename": "a.jpg", "data": data}]}}
    assert RequestData(json.dumps(request)).get_image(0).size == (64, 64)


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", saved("PNG")[:20], b"GIF89a"]
)
def test_what_is_no_image_is_none(content: bytes) -> None:
    assert decode_pil(content) is None
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_the_switch_that_a_module_has_set_itself_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert decode_pil(b"no image") is None
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_several_threads_leave_the_switch_as_it_was() -> None:
    content = saved("JPEG")[:-2]
    sizes: list[tuple[int, int]] = []
    threads = [
        threading.Thread(target=lambda: sizes.extend(decode_pil(content).size for _ in range(20))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [(64, 64)] * 80
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
