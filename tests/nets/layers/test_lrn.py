"""LRN across channels against torch (tests/golden/make_backbones.py), within channels against plain sums."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.nets.layers.lrn import lrn_across_channels, lrn_within_channel
from tests.golden.make_backbones import texture

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "backbones.npz"


def test_lrn_across_channels_and_its_gradient_equal_torch():
    x = jnp.asarray(100 * texture(4, 5, 8, seed=30))[None]
    y, vjp = jax.vjp(lambda x: lrn_across_channels(x, size=5, alpha=1e-4), x)
    with np.load(GOLDEN) as want:
        assert np.abs(want["lrn"] - x[0]).max() > 1  # not the identity
        np.testing.assert_allclose(y[0], want["lrn"], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(vjp(2 * y)[0][0], want["lrn/gradient"], rtol=1e-4, atol=1e-4)


def test_lrn_within_channel_equals_the_mean_over_neighbouring_cells():
    x = 100 * texture(1, 4, 6, 3, seed=33)
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (1, 1), (1, 1), (0, 0)))
    mean = sum(squares[:, i : i + 4, j : j + 6] for i in range(3) for j in range(3)) / 9
    got = lrn_within_channel(jnp.asarray(x), size=3, alpha=1e-2)
    np.testing.assert_allclose(got, x / (1 + 1e-2 * mean) ** 0.75, rtol=1e-5, atol=1e-5)


def test_bfloat16_is_computed_in_float32():
    x = jnp.asarray(100 * texture(1, 4, 6, 8, seed=33), jnp.bfloat16)
    got = lrn_across_channels(x, size=5, alpha=1e-4)
    assert got.dtype == jnp.bfloat16
    want = lrn_across_channels(x.astype(jnp.float32), size=5, alpha=1e-4)
    np.testing.assert_array_equal(got, want.astype(jnp.bfloat16))
