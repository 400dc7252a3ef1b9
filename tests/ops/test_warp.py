"""Crops against a plain loop over the pixels, written independently of the op."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.ops.warp import warp
from tests import laws

SIZE, CONTEXT = 24, 3
HEIGHT, WIDTH = 30, 41
IMAGE_SIZE = jnp.array([HEIGHT, WIDTH], jnp.float32)
compiled = jax.jit(warp, static_argnames=("size", "context"))


def scene(seed=0):
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 50, (HEIGHT, WIDTH, 3)).astype(np.float32)
    boxes = [
        [5, 6, 25, 20],  # grown, it stays on the image
        [0, 0, WIDTH, HEIGHT],  # grown, it crosses all four borders
        [30, 20, 41, 30],  # crosses two
        [10, 4, 11, 29],  # a pixel wide
        [3.3, 7.7, 14.2, 9.1],
        [38.6, 0.4, 41, 1.5],
    ]
    return image, np.array(boxes, np.float32)


def away_from_zero(x):
    return math.copysign(math.floor(abs(x) + 0.5), x)


def grown_interval(low, high, limit):
    """Return (first, last) pixel of the grown box on the image along one axis, and (offset, count) of target pixels."""
    centre, half = (low + high) / 2, (high - low) / 2 * SIZE / (SIZE - 2 * CONTEXT)
    low, high = away_from_zero(centre - half), away_from_zero(centre + half)
    first, last = max(low, 0), min(high, limit)
    scale = SIZE / (high - low)
    offset = away_from_zero((first - low) * scale)
    count = min(away_from_zero((last - first) * scale), SIZE - offset)
    return int(first), int(last), int(offset), int(count)


def resized(window, height, width):
    """Resize bilinearly, pixel centre to pixel centre, with the border repeated and without antialiasing."""
    out = np.zeros((height, width, 3))
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) * window.shape[0] / height - 0.5, 0), window.shape[0] - 1)
            u = min(max((x + 0.5) * window.shape[1] / width - 0.5, 0), window.shape[1] - 1)
            top, left = int(v), int(u)
            bottom, right = min(top + 1, window.shape[0] - 1), min(left + 1, window.shape[1] - 1)
            upper = window[top, left] * (1 - u + left) + window[top, right] * (u - left)
            lower = window[bottom, left] * (1 - u + left) + window[bottom, right] * (u - left)
            out[y, x] = upper * (1 - v + top) + lower * (v - top)
    return out


def reference(image, boxes):
    crops = np.zeros((len(boxes), SIZE, SIZE, 3))
    for crop, (x1, y1, x2, y2) in zip(crops, boxes.astype(np.float64), strict=True):
        left, right, column, width = grown_interval(x1, x2, WIDTH)
        top, bottom, row, height = grown_interval(y1, y2, HEIGHT)
        window = image[top:bottom, left:right].astype(np.float64)
        crop[row : row + height, column : column + width] = resized(window, height, width)
    return crops


def function(image, boxes):
    return warp(image, IMAGE_SIZE, boxes, size=SIZE, context=CONTEXT)


def crops_of(image, boxes):
    """Return the op's crops of an image in a larger canvas, whose other pixels, NaN, must never be read."""
    canvas = np.full((HEIGHT + 9, WIDTH + 5, 3), np.nan, np.float32)
    canvas[:HEIGHT, :WIDTH] = image
    return compiled(canvas, IMAGE_SIZE, boxes, size=SIZE, context=CONTEXT)


def test_crops_equal_the_loop_and_read_no_pixel_outside_the_image():
    image, boxes = scene()
    crops = crops_of(image, boxes)
    assert crops.shape == (6, SIZE, SIZE, 3) and crops.dtype == jnp.float32
    np.testing.assert_allclose(crops, reference(image, boxes), atol=2e-3)


def test_crop_of_a_whole_image_with_the_papers_sizes():
    # 195 pixels at their own scale, with 16 pixels of context on every side that the image does not have.
    image = jnp.ones((195, 195, 3), jnp.float32)
    crop = compiled(image, jnp.array([195.0, 195.0]), jnp.array([[0.0, 0.0, 195.0, 195.0]]), size=227)[0]
    np.testing.assert_array_equal(crop[16:211, 16:211], 1)
    np.testing.assert_array_equal(crop[:16], 0)
    np.testing.assert_array_equal(crop[211:], 0)
    np.testing.assert_array_equal(crop[:, :16], 0)
    np.testing.assert_array_equal(crop[:, 211:], 0)


def test_box_inside_the_image_is_copied_where_the_scale_is_one():
    image, _ = scene()
    box = np.array([[8, 5, 8 + SIZE - 2 * CONTEXT, 5 + SIZE - 2 * CONTEXT]] * 6, np.float32)
    crop = crops_of(image, box)[0]
    np.testing.assert_array_equal(crop, image[5 - CONTEXT :, 8 - CONTEXT :][:SIZE, :SIZE])


def test_boxes_of_no_area_or_outside_are_zero():
    image, _ = scene()
    boxes = [[0, 0, 0, 0], [7, 7, 7, 7], [-90, -90, -50, -50], [9e3, 9e3, 9.1e3, 9.1e3], [-9, 0, -1, 9], [0, 0, 0, 9]]
    np.testing.assert_array_equal(crops_of(image, np.array(boxes, np.float32)), 0)


def test_too_much_context_is_an_error():
    image, boxes = scene()
    with pytest.raises(ValueError, match=r"context must be in 0\.\.size/2, got 12 of 24"):
        warp(image, IMAGE_SIZE, boxes, size=SIZE, context=12)


def test_laws():
    args = scene()
    laws.assert_jit_law(function, *args, tolerance=1e-4)
    laws.assert_vmap_law(function, args, scene(1), tolerance=1e-4)
    mask = np.array([True, False, True, True, False, True, True, True])
    laws.assert_padding_law(function, args, mask, [1], laws.rows, tolerance=1e-4)
