"""The TPU's kernels against the formulation of other platforms, bit for bit; here they are interpreted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.ops import roi_pool, roi_pool_tpu

HEIGHT, WIDTH, BINS = 6, 10, 3


def inputs(dtype):
    """Features of few values, so that maxima tie; boxes inside, across and outside the map, and one of zeros."""
    rng = np.random.default_rng(0)
    features = jnp.asarray(rng.integers(-2, 3, (HEIGHT, WIDTH, 4)), dtype)
    corners = np.sort(rng.uniform(-20, 180, (6, 2, 2)), axis=1).reshape(6, 4)
    boxes = np.concatenate([corners, [[0, 0, 0, 0], [0, 0, 160, 96], [500, 500, 600, 600]]]).astype(np.float32)
    cells = np.round(boxes / 16).astype(np.int32)
    rows = roi_pool.cut_into_bins(jnp.asarray(cells[:, 1]), jnp.asarray(cells[:, 3]), HEIGHT, BINS)
    columns = roi_pool.cut_into_bins(jnp.asarray(cells[:, 0]), jnp.asarray(cells[:, 2]), WIDTH, BINS)
    return features, rows, columns


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_kernels_equal_the_tables(dtype):
    features, rows, columns = inputs(dtype)
    want, places = roi_pool.maxima_and_places(features, rows, columns)
    got, got_places = roi_pool_tpu.maxima_and_places(features, rows, columns, interpret=True)
    alone = roi_pool_tpu.maxima(features, rows, columns, interpret=True)  # another kernel
    assert got.dtype == alone.dtype == dtype
    np.testing.assert_array_equal(got.astype(jnp.float32), want.astype(jnp.float32))
    np.testing.assert_array_equal(alone.astype(jnp.float32), want.astype(jnp.float32))
    np.testing.assert_array_equal(got_places, places)
    g = jnp.asarray(np.random.default_rng(1).integers(-4, 5, want.shape), dtype)  # sums in any order are exact
    gradient = roi_pool_tpu.gradient(places, g, rows, size=(HEIGHT, WIDTH), interpret=True)
    np.testing.assert_array_equal(gradient, roi_pool.gradient(places, g, size=(HEIGHT, WIDTH)))


def test_vmap_over_images_equals_each_image():
    features, rows, columns = inputs(jnp.float32)
    stacked = jnp.stack([features, -features])
    twice = jax.tree.map(lambda x: jnp.stack([x, x[::-1]]), (rows, columns))
    both = jax.vmap(lambda f, r, c: roi_pool_tpu.maxima(f, r, c, interpret=True))(stacked, *twice)
    for i in range(2):
        one = roi_pool_tpu.maxima(stacked[i], *jax.tree.map(lambda x, i=i: x[i], twice), interpret=True)
        np.testing.assert_array_equal(both[i], one)
