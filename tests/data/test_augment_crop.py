"""Windows fit into the bucket, and boxes are clipped or dropped by a stated rule."""

import numpy as np
import pytest

from jaxdet.data.augment_crop import Window, crop_boxes, random_window, resize_window


@pytest.mark.parametrize("size", [(60, 100), (101, 75), (30, 30), (3, 400)])
@pytest.mark.parametrize(("scale", "crop"), [((0.5, 2.0), 1.0), ((1.0, 1.0), 0.3), ((0.25, 4.0), 0.1)])
def test_a_resized_window_lies_in_the_image_and_fits_into_the_bucket(size, scale, crop):
    bucket, base_scale = (112, 112), 100 / max(size)
    image = np.zeros((*size, 3), np.uint8)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        window, resize = random_window(rng, size, bucket, base_scale=base_scale, scale=scale, crop=crop)
        assert 0 <= window.top <= size[0] - window.height and 0 <= window.left <= size[1] - window.width
        assert min(window.height, window.width) >= 1
        assert resize <= base_scale * scale[1] / crop
        resized = resize_window(image[window.slices], resize, bucket)
        assert resized.shape[0] <= bucket[0] and resized.shape[1] <= bucket[1]


def test_without_jitter_and_crop_the_window_is_the_image():
    window, scale = random_window(
        np.random.default_rng(0), (60, 100), (64, 112), base_scale=1.0, scale=(1.0, 1.0), crop=1.0
    )
    assert (window, scale) == (Window(0, 0, 60, 100), 1.0)


def test_a_small_scale_leaves_the_whole_image():
    window, scale = random_window(
        np.random.default_rng(0), (60, 100), (64, 112), base_scale=1.0, scale=(0.5, 0.5), crop=1.0
    )
    assert window == Window(0, 0, 60, 100)
    assert scale == pytest.approx(0.5)


def test_boxes_are_clipped_moved_and_dropped_by_the_share_of_area_that_is_left():
    window = Window(top=10, left=20, height=40, width=50)
    boxes = np.array(
        [
            [30, 20, 40, 30],  # inside
            [10, 20, 30, 30],  # half outside
            [0, 20, 25, 30],  # a fifth is left
            [0, 0, 20, 10],  # touches the corner
            [80, 80, 90, 90],  # outside
            [0, 0, 100, 100],  # the window covers a fifth of it
            [30, 20, 30, 30],  # without an area
        ],
        np.float32,
    )
    clipped, is_visible = crop_boxes(boxes, window, min_area=0.3)
    assert is_visible.tolist() == [True, True, False, False, False, False, False]
    np.testing.assert_array_equal(clipped[is_visible], [[10, 10, 20, 20], [0, 10, 10, 20]])
    assert clipped.dtype == np.float32
    assert crop_boxes(boxes, window, min_area=0.2)[1].tolist() == [True, True, True, False, False, True, False]
    assert crop_boxes(boxes, window, min_area=0.0)[1].tolist() == [True, True, True, False, False, True, False]
    assert crop_boxes(boxes[:0], window, min_area=0.3)[0].shape == (0, 4)
