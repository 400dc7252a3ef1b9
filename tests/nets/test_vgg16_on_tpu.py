"""VGG16 in the form for a TPU equals the form of other platforms: features, padding and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.nets import vgg16_on_tpu
from jaxdet.nets.apply import apply
from jaxdet.nets.layers.initializers import kernel_initializers
from jaxdet.nets.vgg16 import VGG16


@pytest.mark.parametrize("rounding", ["ceil", "floor"])
def test_features_and_gradients_equal_those_of_whole_maps(rounding):
    whole = VGG16(kernel_init=kernel_initializers("he_normal"), width=1 / 32, pool_rounding=rounding)
    image = jax.random.normal(jax.random.key(0), (2, 64, 48, 3)) * 50  # garbage outside the images too
    size = jnp.asarray([[57, 48], [64, 33]], jnp.int32)
    params = jax.jit(whole.init)(jax.random.key(1), image, size)["params"]

    @jax.jit
    def run(params, g):
        (want, want_size), vjp = jax.vjp(lambda p: apply(whole, p, image, size), params)
        (got, got_size), tpu_vjp = jax.vjp(
            lambda p: vgg16_on_tpu.features(p, image, size, pool_rounding=rounding, dtype=jnp.float32), params
        )
        no_gradient = np.zeros(size.shape, jax.dtypes.float0)
        return (want, want_size, vjp((g, no_gradient))[0]), (got, got_size, tpu_vjp((g, no_gradient))[0])

    g = jax.random.normal(jax.random.key(2), (2, 4, 3, 16))
    want, got = run(params, g)
    np.testing.assert_array_equal(got[1], want[1])
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))
