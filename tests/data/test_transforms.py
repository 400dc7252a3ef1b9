import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxdet.data.transforms import flip, pad_ground_truth, resize, resize_scale, resized_size

PAPER = {"short_side": 600, "long_side": 1000}


# py-faster-rcnn's rule by hand: 375 x 500 -> 1.6; 333 x 500 -> 600/333 = 1.8018, 500 x 1.8018 = 901;
# 250 x 500 would be 1200 long, so 2.0; 600 x 1000 stays as it is.
@pytest.mark.parametrize(
    ("size", "scale", "resized"),
    [
        ((375, 500), 1.6, (600, 800)),
        ((500, 375), 1.6, (800, 600)),
        ((333, 500), 600 / 333, (600, 901)),
        ((250, 500), 2.0, (500, 1000)),
        ((600, 1000), 1.0, (600, 1000)),
        ((1200, 1200), 0.5, (600, 600)),
        ((40, 4000), 0.25, (10, 1000)),
    ],
)
def test_resize_scale_and_size(size, scale, resized):
    assert resize_scale(*size, **PAPER) == pytest.approx(scale)
    assert resized_size(*size, **PAPER) == resized


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_resized_size_equals_the_result_of_resize_and_is_within_the_sides(height, width):
    size = resized_size(height, width, short_side=60, long_side=100)
    image, scale = resize(np.zeros((height, width, 3), np.uint8), short_side=60, long_side=100)
    assert image.shape[:2] == size
    assert min(size) <= 60
    assert max(size) <= 100
    assert scale == resize_scale(height, width, short_side=60, long_side=100)


def test_resize_is_opencv_bilinear_in_uint8():
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)
    got, scale = resize(image, short_side=60, long_side=100)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, cv2.resize(image, None, fx=60 / 37, fy=60 / 37))
    assert scale == 60 / 37


def test_flip_moves_boxes_with_their_pixels_and_is_its_own_inverse():
    image, boxes = np.zeros((10, 20, 3), np.uint8), np.array([[3, 1, 7, 9], [0, 0, 20, 10]], np.float32)
    image[1:9, 3:7] = 255
    flipped, mirrored = flip(image, boxes)
    np.testing.assert_array_equal(mirrored, np.array([[13, 1, 17, 9], [0, 0, 20, 10]], np.float32))
    x1, y1, x2, y2 = mirrored[0].astype(int)
    assert (flipped[y1:y2, x1:x2] == 255).all()
    assert flipped.sum() == image.sum()
    again, boxes_again = flip(flipped, mirrored)
    np.testing.assert_array_equal(again, image)
    np.testing.assert_array_equal(boxes_again, boxes)


def test_flip_without_objects():
    assert flip(np.zeros((4, 5, 3), np.uint8), np.zeros((0, 4), np.float32))[1].shape == (0, 4)


def test_padding_uses_the_largest_objects_in_their_order():
    sides = np.array([3, 9, 1, 5, 7], np.float32)
    boxes = np.stack([np.zeros(5, np.float32), np.zeros(5, np.float32), sides, sides], axis=1)
    labels = np.arange(1, 6, dtype=np.int32)
    padded, padded_labels, valid = pad_ground_truth(boxes, labels, max_gt=3)
    assert padded_labels.tolist() == [2, 4, 5]
    assert padded[:, 2].tolist() == [9, 5, 7]
    assert valid.all()


@pytest.mark.parametrize("count", [0, 2])
def test_empty_slots_hold_zeros(count):
    boxes, labels = np.ones((count, 4), np.float32), np.ones(count, np.int32)
    padded, padded_labels, valid = pad_ground_truth(boxes, labels, max_gt=4)
    assert (padded.dtype, padded_labels.dtype, valid.dtype) == (np.float32, np.int32, bool)
    assert valid.tolist() == [i < count for i in range(4)]
    assert not padded[count:].any()
    assert not padded_labels[count:].any()
