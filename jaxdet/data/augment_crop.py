"""Scale jitter and random crop: one window of an image, with the boxes that are left in it."""

import dataclasses
import math

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class Window:
    """A part of an image, in whole pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def random_window(
    rng: np.random.Generator,
    image_size: tuple[int, int],
    bucket: tuple[int, int],
    *,
    base_scale: float,
    scale: tuple[float, float],
    crop: float,
) -> tuple[Window, float]:
    """Return a random window and its resize scale; resized, it fits into the bucket.

    Args:
      image_size: (height, width) in pixels.
      bucket: (height, width) that holds the resized window.
      base_scale: resize scale of the whole image; a crop is enlarged to the size that the whole image would have.
      scale: (low, high) factor of the resize scale, log-uniform.
      crop: least share of height and width.
    """
    share = rng.uniform(crop, 1.0)
    factor = math.exp(rng.uniform(math.log(scale[0]), math.log(scale[1])))
    resize = base_scale * factor / share
    height, width = (
        max(min(round(side * share), side, int(room / resize)), 1)
        for side, room in zip(image_size, bucket, strict=True)
    )
    top = int(rng.integers(image_size[0] - height + 1))
    left = int(rng.integers(image_size[1] - width + 1))
    return Window(top, left, height, width), resize


def crop_boxes(boxes: np.ndarray, window: Window, *, min_area: float) -> tuple[np.ndarray, np.ndarray]:
    """Clip boxes to a window.

    Args:
      boxes: f32[N,4] in pixels of the image.
      min_area: share of a box's area that must be left.

    Returns:
      boxes f32[N,4] in pixels of the window, and which are visible, bool[N]: those with an area, of which at least
      `min_area` is left.
    """
    offset = np.array([window.left, window.top, window.left, window.top], np.float32)
    limit = np.array([window.width, window.height, window.width, window.height], np.float32)
    clipped = np.clip(boxes - offset, np.float32(0), limit)
    left = _area(clipped)
    return clipped, (left > 0) & (left >= np.float32(min_area) * _area(boxes))


def resize_window(image: np.ndarray, scale: float, bucket: tuple[int, int]) -> np.ndarray:
    """Resize an image u8[H,W,3] bilinearly to its size times the scale, at least one pixel and at most the bucket."""
    height, width = (min(max(round(side * scale), 1), room) for side, room in zip(image.shape[:2], bucket, strict=True))
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_LINEAR)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
