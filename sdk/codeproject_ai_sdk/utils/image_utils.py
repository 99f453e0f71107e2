"""Turning scanned pages upright. Needs OpenCV and NumPy, which are imported when used."""

from __future__ import annotations

import importlib
import math
from typing import Any

__all__ = ["compute_skew", "deskew", "rotate_image"]

MAX_SKEW = 45.0
"""Degrees; a steeper line is the border of a page rather than a line of text."""


def rotate_image(image: Any, angle: float) -> Any:
    """Return an image array turned by ``angle`` degrees, counter-clockwise, about its centre; the size stays."""
    cv2 = _need("cv2")
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    return cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_LINEAR)


def compute_skew(image: Any) -> float:
    """Return the angle in degrees by which the text lines of a page are turned; 0.0 when none are seen.

    Positive when the lines fall to the right. ``image``: an array, grey or BGR.
    """
    cv2, numpy = _need("cv2"), _need("numpy")
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    width = grey.shape[1]
    edges = cv2.Canny(cv2.medianBlur(grey, 3), 50, 150)
    lines = cv2.HoughLinesP(edges, 1, math.pi / 180, 60, minLineLength=width / 4, maxLineGap=20)
    if lines is None:
        return 0.0
    angles = [math.degrees(math.atan2(y2 - y1, x2 - x1)) for x1, y1, x2, y2 in lines.reshape(-1, 4)]
    level = [angle for angle in angles if abs(angle) <= MAX_SKEW]
    return float(numpy.median(level)) if level else 0.0


def deskew(image: Any) -> Any:
    """Return the image turned so that its text lines are level."""
    return rotate_image(image, compute_skew(image))


def _need(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"cv2": "opencv-python-headless"}.get(module, module)
        raise ImportError(f"This needs {package}: add it to the module's requirements file") from error
