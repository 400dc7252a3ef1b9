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
    want, vjp = jax.vjp(lambda f: roi_pool.pool_from_tables(f, rows, columns), features)
    got = roi_pool_tpu.pool(features, rows, columns, True)
    output, tpu_vjp = jax.vjp(lambda f: roi_pool_tpu.pool(f, rows, columns, True), features)  # another kernel
    g = jnp.asarray(np.random.default_rng(1).integers(-4, 5, want.shape), dtype)  # sums in any order are exact
    for array, expected in ((got, want), (output, want), (tpu_vjp(g)[0], vjp(g)[0])):
        assert array.dtype == dtype
        np.testing.assert_array_equal(array.astype(jnp.float32), expected.astype(jnp.float32))


def test_vmap_over_images_equals_each_image():
    features, rows, columns = inputs(jnp.float32)
    stacked = jnp.stack([features, -features])
    twice = jax.tree.map(lambda x: jnp.stack([x, x[::-1]]), (rows, columns))
    both = jax.vmap(lambda f, r, c: roi_pool_tpu.pool(f, r, c, True))(stacked, *twice)
    for i in range(2):
        one = roi_pool_tpu.pool(stacked[i], *jax.tree.map(lambda x, i=i: x[i], twice), True)
        np.testing.assert_array_equal(both[i], one)
