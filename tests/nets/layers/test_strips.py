"""Maps cut into strips, convolved and joined again."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxdet.nets.layers import strips


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_a_batch_of_strips_is_a_multiple_of_eight_and_joins_to_the_maps(batch):
    x = jnp.arange(batch * 48 * 4.0).reshape(batch, 48, 4, 1)
    cut = strips.cut(x, jnp.full((batch, 2), 48, jnp.int32), multiple=16)
    assert cut.x.shape[0] % 8 == 0 and cut.x.shape[1] % 16 == 0
    np.testing.assert_array_equal(strips.join(cut, 48), x)


@pytest.mark.parametrize("batch", [2, 8])
def test_a_convolution_and_its_gradients_equal_those_of_the_whole_maps(batch):
    x = jax.random.normal(jax.random.key(0), (batch, 16, 5, 2))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 2, 3))

    def in_strips(x, kernel):
        maps = strips.cut(x, jnp.full((batch, 2), 16, jnp.int32), multiple=2)
        return strips.join(strips.conv_3x3(maps, kernel), 16)

    def whole(x, kernel):
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def results(convolve):
        y, vjp = jax.vjp(convolve, x, kernel)
        return y, *vjp(y)

    for got, want in zip(results(in_strips), results(whole), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("batch", [2, 8])
def test_relu_inside_and_its_gradient_equal_those_of_relu_and_mask(batch, dtype):
    x = jax.random.normal(jax.random.key(0), (batch, 16, 5, 2)).astype(dtype).at[:, ::3].set(0)
    maps = strips.cut(x, jnp.tile(jnp.asarray([[13, 5], [16, 3]], jnp.int32), (batch // 2, 1)), multiple=2)
    forms = (
        lambda x: strips.relu_inside(dataclasses.replace(maps, x=x)).x,
        lambda x: strips.zero_outside(dataclasses.replace(maps, x=jax.nn.relu(x))).x,
    )
    (got, vjp), (want, reference_vjp) = (jax.vjp(form, maps.x) for form in forms)
    g = jax.random.normal(jax.random.key(1), got.shape).astype(dtype)
    assert got.dtype == vjp(g)[0].dtype == dtype
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(vjp(g)[0], reference_vjp(g)[0])
