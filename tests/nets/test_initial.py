import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import initializers

from jaxdet.nets import initial


@pytest.mark.parametrize("shape", [(3, 3, 64, 48), (1024, 256)])
def test_the_weights_of_each_output_sum_to_zero(shape):
    kernel = initial.behind_relu(jax.random.key(0), shape, jnp.float32)
    assert kernel.shape == shape and kernel.dtype == jnp.float32
    np.testing.assert_allclose(kernel.sum(tuple(range(len(shape) - 1))), 0, atol=1e-4)


def test_twelve_layers_keep_the_power_of_their_input_and_tell_inputs_apart():
    def last(draw):
        x = jax.random.normal(jax.random.key(1), (64, 512))
        for key in jax.random.split(jax.random.key(0), 12):
            x = jax.nn.relu(x @ draw(key, (512, 512), jnp.float32))
        return x

    def cosine(x):
        x /= jnp.linalg.norm(x, axis=1, keepdims=True)
        return float((x @ x.T)[jnp.triu_indices(len(x), 1)].mean())

    centred, plain = last(initial.behind_relu), last(initializers.he_normal())
    assert 0.5 < float(jnp.square(centred).mean()) < 2
    assert cosine(centred) < 0.5 < 0.8 < cosine(plain)
