"""Sizes and values of both poolings, and zeros outside the images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.nets.layers.pooling import max_pool_2x2, max_pool_3x3, zero_outside


def test_zero_outside_keeps_the_top_left_part_of_each_image():
    x = jnp.ones((2, 4, 6, 3))
    got = zero_outside(x, jnp.asarray([[2, 5], [4, 1]]))
    assert got[0].sum() == 2 * 5 * 3 and got[1].sum() == 4 * 1 * 3
    np.testing.assert_array_equal(got[0, :2, :5], 1)


@pytest.mark.parametrize(("rounding", "want"), [("ceil", (38, 63)), ("floor", (37, 62))])
def test_size_after_four_poolings_of_600_x_1000(rounding, want):
    x, size = jnp.ones((1, 608, 1008, 1)), jnp.asarray([[600, 1000]])
    for _ in range(4):
        x, size = max_pool_2x2(x, size, rounding=rounding)
    assert x.shape == (1, 38, 63, 1)
    np.testing.assert_array_equal(size, [want])
    assert x.sum() == want[0] * want[1]


def test_odd_last_row_is_pooled_alone_or_dropped():
    x = zero_outside(jnp.arange(1.0, 17.0).reshape(1, 4, 4, 1), jnp.asarray([[3, 4]]))
    ceil, _ = max_pool_2x2(x, jnp.asarray([[3, 4]]), rounding="ceil")
    floor, _ = max_pool_2x2(x, jnp.asarray([[3, 4]]), rounding="floor")
    np.testing.assert_array_equal(ceil[0, :, :, 0], [[6, 8], [10, 12]])
    np.testing.assert_array_equal(floor[0, :, :, 0], [[6, 8], [0, 0]])


@pytest.mark.parametrize("rounding", ["ceil", "floor"])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("height", "width"), [(3, 4), (5, 6), (7, 3)])
def test_overlapping_windows_equal_a_loop(height, width, padding, rounding):
    """'floor' has the windows that lie wholly on the padded image, 'ceil' one more where cells remain."""

    def starts(length):
        end = length + padding - 3  # where the last whole window would begin
        return [s for s in range(-padding, length + padding, 2) if s <= end or (rounding == "ceil" and s < end + 2)]

    x = np.random.default_rng(0).uniform(size=(2, 8, 9, 1)).astype(np.float32)
    size = jnp.asarray([[height, width], [8, 9]])
    pool = jax.jit(functools.partial(max_pool_3x3, padding=padding, rounding=rounding))
    got, cells = pool(zero_outside(jnp.asarray(x), size), size)
    for image, (height, width) in enumerate(np.asarray(size)):
        cut = x[image, :height, :width, 0]
        want = [[cut[max(i, 0) : i + 3, max(j, 0) : j + 3].max() for j in starts(width)] for i in starts(height)]
        np.testing.assert_array_equal(cells[image], np.shape(want))
        np.testing.assert_array_equal(got[image, : len(want), : len(want[0]), 0], want)
        assert got[image].sum() == pytest.approx(np.sum(want), rel=1e-5)
