"""VGG16 in strips, the form for a TPU, equals the form of other platforms: features, padding and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.nets.apply import apply
from jaxdet.nets.layers import strips
from jaxdet.nets.layers.initializers import kernel_initializers
from jaxdet.nets.vgg16 import VGG16


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_a_batch_of_strips_is_a_multiple_of_eight_and_joins_to_the_maps(batch):
    x = jnp.arange(batch * 48 * 4.0).reshape(batch, 48, 4, 1)
    cut = strips.cut(x, jnp.full((batch, 2), 48, jnp.int32), multiple=16)
    assert cut.x.shape[0] % 8 == 0 and cut.x.shape[1] % 16 == 0
    np.testing.assert_array_equal(strips.join(cut, 48), x)


@pytest.mark.parametrize("rounding", ["ceil", "floor"])
def test_features_and_gradients_equal_those_of_whole_maps(rounding):
    whole = VGG16(kernel_init=kernel_initializers("he_normal"), width=1 / 32, pool_rounding=rounding)
    image = jax.random.normal(jax.random.key(0), (2, 64, 48, 3)) * 50  # garbage outside the images too
    size = jnp.asarray([[57, 48], [64, 33]], jnp.int32)
    params = jax.jit(whole.init)(jax.random.key(1), image, size)["params"]

    @jax.jit
    def run(params, g):
        def features(form):
            return jax.vjp(lambda p: apply(form, p, image, size), params, has_aux=False)

        (want, want_size), vjp = features(whole)
        (got, got_size), tpu_vjp = features(whole.clone(tpu=True))
        no_gradient = np.zeros(size.shape, jax.dtypes.float0)
        return (want, want_size, vjp((g, no_gradient))[0]), (got, got_size, tpu_vjp((g, no_gradient))[0])

    g = jax.random.normal(jax.random.key(2), (2, 4, 3, 16))
    want, got = run(params, g)
    np.testing.assert_array_equal(got[1], want[1])
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))
