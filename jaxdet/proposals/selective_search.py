"""Selective Search (Uijlings, van de Sande, Gevers & Smeulders 2013) in its fast mode, as R-CNN uses it, by OpenCV."""

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from jaxdet.checks import InputError

SIGMA = 0.8  # of the blur before a segmentation: R-CNN's
COLOUR_SPACES = cv2.COLOR_BGR2HSV, cv2.COLOR_BGR2Lab
SIMILARITIES = ("Color", "Fill", "Texture", "Size"), ("Fill", "Texture", "Size")  # each is a sum of these
OPENCV_SEGMENTATIONS = (50, 100), (100, 100), (150, 100)  # k and the least size of a segment, in pixels

_lock = threading.Lock()  # OpenCV runs outside Python's lock, and all threads share the state of rand()


def selective_search(
    image: np.ndarray,
    *,
    max_boxes: int = 2000,
    min_side: float = 20,
    width: int = 500,
    segment_sizes: Sequence[int] = (),
) -> np.ndarray:
    """Return boxes likely to hold an object: two colour spaces, two similarities, two or three segmentations.

    R-CNN's fast mode is segment_sizes=(50, 100). Without it k is OpenCV's 50, 100 and 150, and all segments have at
    least 100 pixels. On 40 images R-CNN's returned 1,795 boxes per image, with recall 0.76 at IoU 0.7; OpenCV's
    returned 1,864 with 0.82.

    The order of the boxes is random by design (random numbers times the level of the merge). The generator is libc's
    rand(), seeded before each call, so that an image has the same boxes in every process of one platform.

    Args:
      image: u8[H,W,3] RGB.
      max_boxes: the best are returned.
      min_side: boxes with a shorter side are dropped, in pixels of the resized image.
      width: the image is resized to this width as in R-CNN's demo, or to twice this height if it is very tall.
      segment_sizes: k of each segmentation, which is also the least size of its segments in pixels; empty: OpenCV's.

    Returns:
      f32[n,4] in pixels of the original image, best first, without duplicates; n = 0 if the image is too small.

    Raises:
      InputError: OpenCV lacks its contrib modules, or libc's srand cannot be called.
    """
    original = np.array(image.shape[:2])
    if not original.all():
        return np.zeros((0, 4), np.float32)
    scale = min(width / original[1], 2 * width / original[0])  # limits the height, and with it time and memory
    size = np.maximum(np.rint(original * scale), 1).astype(int)
    if size.min() < min_side:
        return np.zeros((0, 4), np.float32)
    resized = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), size[::-1].tolist(), interpolation=cv2.INTER_LINEAR)
    rectangles = _search(resized, [(k, k) for k in segment_sizes] or OPENCV_SEGMENTATIONS)
    corners, sides = rectangles[:, :2], rectangles[:, 2:]
    boxes = np.concatenate([corners, corners + sides], axis=1)[sides.min(axis=1) >= min_side]
    return (boxes[:max_boxes] * np.tile(original / size, 2)[::-1]).astype(np.float32)


def _search(image: np.ndarray, segmentations: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return (x, y, width, height) i32[n,4] of the segments of a BGR image, each box once."""
    try:
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    except AttributeError:
        raise InputError(
            f"selective search: OpenCV must have its contrib modules, got {cv2.__version__} without them; "
            "install opencv-contrib-python-headless in place of other OpenCV packages."
        ) from None
    srand = _srand()
    with _lock:
        srand(0)
        search.setBaseImage(image)
        for space in COLOUR_SPACES:
            search.addImage(cv2.cvtColor(image, space))
        for k, size in segmentations:
            search.addGraphSegmentation(cv2.ximgproc.segmentation.createGraphSegmentation(SIGMA, k, size))
        for names in SIMILARITIES:
            search.addStrategy(_similarity(names))
        return np.asarray(search.process())


def _similarity(names: Sequence[str]) -> Any:
    """Return OpenCV's sum of the similarities of these names."""
    prefix = "createSelectiveSearchSegmentationStrategy"
    parts = [getattr(cv2.ximgproc.segmentation, prefix + name)() for name in names]
    return getattr(cv2.ximgproc.segmentation, f"{prefix}Multiple")(*parts)


def _srand() -> Callable[[int], object]:
    try:
        return ctypes.CDLL(None).srand
    except (AttributeError, OSError, TypeError) as error:  # Windows has no handle of the program's own libc
        raise InputError(
            f"selective search: libc's srand must be callable for a repeatable order, got {error}; "
            "search on Linux or macOS and copy the proposals file."
        ) from error
