import ctypes

import cv2
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.ops.boxes_np import box_iou
from jaxdet.proposals import selective_search as module
from jaxdet.proposals.selective_search import selective_search

OBJECTS = np.float32([[30, 40, 110, 120], [150, 60, 210, 160]])


def two_rectangles() -> np.ndarray:
    """Two rectangles of plain colour on a noisy background, 240 x 180."""
    image = np.random.default_rng(0).integers(100, 140, (180, 240, 3), np.uint8)
    for (x1, y1, x2, y2), colour in zip(OBJECTS.astype(int), [(220, 30, 30), (20, 60, 200)], strict=True):
        image[y1:y2, x1:x2] = colour
    return image


def test_objects_are_found_in_original_pixels():
    boxes = selective_search(two_rectangles(), width=240)
    assert boxes.dtype == np.float32
    assert (box_iou(boxes[:, None], OBJECTS[None]).max(axis=0) > 0.9).all()
    doubled = selective_search(np.repeat(np.repeat(two_rectangles(), 2, axis=0), 2, axis=1), width=240)
    assert (box_iou(doubled[:, None], 2 * OBJECTS[None]).max(axis=0) > 0.9).all()


def test_boxes_are_inside_the_image_wide_enough_and_unique():
    image = two_rectangles()[:, :201]  # 201 -> 150: the scales of width and height differ after rounding
    boxes = selective_search(image, width=150, min_side=12)
    assert len(boxes) > 10
    assert boxes.min() >= 0
    assert (boxes.max(axis=0) <= [201, 180, 201, 180]).all()
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 12 * 180 / 135
    assert len(np.unique(boxes, axis=0)) == len(boxes)


def test_max_boxes_returns_the_first_boxes():
    boxes = selective_search(two_rectangles(), width=240)
    np.testing.assert_array_equal(selective_search(two_rectangles(), width=240, max_boxes=7), boxes[:7])


def test_two_calls_agree_to_the_bit_whatever_the_state_of_rand():
    """test_search compares with other processes."""
    boxes = selective_search(two_rectangles(), width=240)
    ctypes.CDLL(None).srand(99)
    cv2.setRNGSeed(99)
    np.testing.assert_array_equal(selective_search(two_rectangles(), width=240), boxes)


def test_opencvs_segmentations_are_those_of_its_own_fast_mode():
    """The boxes and their order, with R-CNN's sigma."""
    bgr = cv2.cvtColor(two_rectangles(), cv2.COLOR_RGB2BGR)
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(bgr)
    search.switchToSelectiveSearchFast(50, 50, 0.8)
    ctypes.CDLL(None).srand(0)
    expected = search.process()
    np.testing.assert_array_equal(module._search(bgr, module.OPENCV_SEGMENTATIONS), expected)


def test_segment_sizes_are_the_least_sizes_of_the_segmentations(monkeypatch):
    opencv, segmentations = cv2.ximgproc.segmentation, []
    create = opencv.createGraphSegmentation

    def record(*values):
        segmentations.append(values)
        return create(*values)

    monkeypatch.setattr(opencv, "createGraphSegmentation", record)
    small = selective_search(two_rectangles(), width=240, segment_sizes=(50, 100))
    assert segmentations == [(0.8, 50, 50), (0.8, 100, 100)]
    assert (box_iou(small[:, None], OBJECTS[None]).max(axis=0) > 0.9).all()
    large = selective_search(two_rectangles(), width=240, segment_sizes=(400,))
    assert 0 < len(large) < len(small)


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (19, 19), (2, 900), (900, 2)])
def test_images_too_small_to_segment_have_no_boxes(size):
    boxes = selective_search(np.zeros((*size, 3), np.uint8), width=min(size[1], 500) or 1)
    assert (boxes.shape, boxes.dtype) == ((0, 4), np.float32)


def test_a_tall_image_is_searched_at_twice_the_width(monkeypatch):
    sizes = []
    monkeypatch.setattr(module, "_search", lambda image, _: sizes.append(image.shape) or np.zeros((0, 4), np.int32))
    for height, width in [(375, 500), (500, 375), (4000, 100)]:
        selective_search(np.zeros((height, width, 3), np.uint8))
    assert sizes == [(375, 500, 3), (667, 500, 3), (1000, 25, 3)]


def test_missing_srand_and_missing_contrib_modules_are_named(monkeypatch):
    def windows(name):
        raise TypeError("argument of type 'NoneType' is not iterable")

    monkeypatch.setattr(module.ctypes, "CDLL", windows)
    with pytest.raises(InputError, match="srand must be callable.*search on Linux or macOS"):
        selective_search(two_rectangles())
    monkeypatch.delattr(cv2, "ximgproc")
    with pytest.raises(InputError, match="must have its contrib modules.*install opencv-contrib-python-headless"):
        selective_search(two_rectangles())
