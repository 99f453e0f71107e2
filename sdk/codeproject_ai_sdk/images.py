"""Bytes to images and back, with whichever image library the module has installed."""

from __future__ import annotations

import importlib
import io
from typing import Any


def decode_pil(content: bytes) -> Any:
    """Return an RGB Pillow image, or None when the bytes are no image. Raises ImportError without Pillow."""
    image_module = _need("PIL.Image", "Pillow")
    try:
        return image_module.open(io.BytesIO(content)).convert("RGB")
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError):
        return None


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
