"""Bytes to images and back, with whichever image library the module has installed."""

from __future__ import annotations

import importlib
import io
import struct
import threading
import zlib
from typing import Any

_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)
"""What Pillow raises for an image that is not whole, or is none."""
_lenient = threading.Lock()


def decode_pil(content: bytes) -> Any:
    """Return an RGB Pillow image, or None when the bytes are no image. Raises ImportError without Pillow.

    Of an image that is cut off or slightly damaged there is what can be read, as browsers show it.
    """
    image_module = _need("PIL.Image", "Pillow")
    try:
        return _rgb(image_module, content)
    except image_module.DecompressionBombError:
        return None
    except _DAMAGED:
        return _what_is_there(image_module, content)


def _rgb(image_module: Any, content: bytes) -> Any:
    return image_module.open(io.BytesIO(content)).convert("RGB")


def _what_is_there(image_module: Any, content: bytes) -> Any:
    """Read a damaged image with Pillow's switch for that, which is for the whole process: on only meanwhile."""
    image_file = _need("PIL.ImageFile", "Pillow")
    with _lenient:
        before, image_file.LOAD_TRUNCATED_IMAGES = image_file.LOAD_TRUNCATED_IMAGES, True
        try:
            return _rgb(image_module, content)
        except (*_DAMAGED, image_module.DecompressionBombError):
            return None
        finally:
            image_file.LOAD_TRUNCATED_IMAGES = before


def decode_opencv(content: bytes) -> Any:
    """Return a BGR array of 8-bit values, or None when the bytes are no image. Raises ImportError without OpenCV."""
    cv2 = _need("cv2", "opencv-python-headless")
    numpy = _need("numpy", "numpy")
    if not content:
        return None
    return cv2.imdecode(numpy.frombuffer(content, dtype=numpy.uint8), cv2.IMREAD_COLOR)


def encode(image: Any, image_format: str) -> bytes:
    """Return an image file of that format from a Pillow image or an RGB array of 8-bit values."""
    image_module = _need("PIL.Image", "Pillow")
    if not hasattr(image, "save"):
        image = image_module.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, format=image_format)
    return buffer.getvalue()


def _need(module: str, requirement: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"Working with images needs {requirement}: add it to the module's requirements file"
        ) from error
