"""Winograd's convolution and kernel gradient against `jax.lax`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxdet.nets.layers import winograd


def stock(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def arrays(batch, height, width, channels, filters):
    rng = np.random.default_rng(0)
    shapes = (batch, height, width, channels), (3, 3, channels, filters), (batch, height, width, filters)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


@pytest.mark.parametrize("shape", [(1, 1, 1, 5, 3), (2, 2, 3, 1, 4), (3, 8, 6, 16, 8), (1, 13, 10, 8, 16)])
def test_convolution_and_kernel_gradient_equal_jax(shape):
    x, kernel, g = arrays(*shape)
    expected, vjp = jax.jit(lambda *args: jax.vjp(stock, *args))(x, kernel)
    np.testing.assert_allclose(jax.jit(winograd.convolve)(x, kernel), expected, rtol=1e-5, atol=1e-5)
    gradient = jax.jit(winograd.kernel_gradient)(x, g)
    np.testing.assert_allclose(gradient, vjp(g)[1], rtol=1e-5, atol=1e-5 * shape[1] * shape[2])


def test_small_whole_numbers_are_exact_also_in_a_larger_canvas():
    """The transforms add, subtract and halve: small whole numbers are not rounded."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(-8, 9, (1, 5, 7, 4)), jnp.float32)
    kernel = jnp.asarray(4 * rng.integers(-8, 9, (3, 3, 4, 6)), jnp.float32)
    expected = stock(x, kernel)
    np.testing.assert_array_equal(winograd.convolve(x, kernel), expected)
    canvas = jnp.zeros((1, 9, 12, 4)).at[:, :5, :7].set(x)
    np.testing.assert_array_equal(winograd.convolve(canvas, kernel)[:, :5, :7], expected)
