"""Continuous boxes of formats without VOC's 1-based numbers: clipped to the image, faults by name."""

import math
from collections.abc import Iterable
from typing import Any

from jaxdet.data.datasets.xml_file import Unusable

ROUNDING = 1.0  # pixels that a box may leave the image by before it is reported: tools round


def clipped(
    box: tuple[float, float, float, float], height: int, width: int
) -> tuple[tuple[float, float, float, float], bool]:
    """Return a box x1, y1, x2, y2 clipped to an image, and whether that moved a side by more than ROUNDING.

    Raises:
      Unusable: the box has no area, or none inside the image.
    """
    x1, y1, x2, y2 = box
    if not (x2 > x1 and y2 > y1):
        raise Unusable("zero-area or inverted box")
    inside = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise Unusable("box outside the image")
    return inside, any(abs(a - b) > ROUNDING for a, b in zip(box, inside, strict=True))


def finite(numbers: Iterable[Any]) -> bool:
    """Return whether all are finite numbers: no text, no true or false, none beyond float64."""
    return all(
        isinstance(number, int | float)
        and not isinstance(number, bool)
        and abs(number) < 1e300
        and math.isfinite(number)
        for number in numbers
    )
