import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import initializers

from jaxdet.nets import initial
from jaxdet.nets.region_net import region_net


@pytest.mark.parametrize("shape", [(3, 3, 64, 48), (1024, 256)])
def test_the_weights_of_each_output_sum_to_zero(shape):
    kernel = initial.behind_relu(jax.random.key(0), shape, jnp.float32)
    assert kernel.shape == shape and kernel.dtype == jnp.float32
    np.testing.assert_allclose(kernel.sum(tuple(range(len(shape) - 1))), 0, atol=1e-4)


def test_twelve_layers_keep_the_power_of_their_input_and_tell_inputs_apart():
    def last(draw):
        x = 2**0.5 * jax.nn.relu(jax.random.normal(jax.random.key(1), (64, 512)))  # mean square 1
        for key in jax.random.split(jax.random.key(0), 12):
            x = jax.nn.relu(x @ draw(key, (512, 512), jnp.float32))
        return x

    def cosine(x):
        x /= jnp.linalg.norm(x, axis=1, keepdims=True)
        return float((x @ x.T)[jnp.triu_indices(len(x), 1)].mean())

    centred, plain = last(initial.behind_relu), last(initializers.he_normal())
    assert 0.8 < float(jnp.square(centred).mean()) < 1.25
    assert cosine(centred) < 0.5 < 0.8 < cosine(plain)


@pytest.mark.parametrize(("backbone", "first"), [("vgg16", "conv1_1"), ("alexnet", "conv1")])
def test_all_layers_behind_a_relu_are_centred_and_the_first_is_not(backbone, first):
    net = region_net(backbone=backbone, num_classes=2, num_anchors=1, width=1 / 16, head_features=8)
    params = jax.jit(net.init)(jax.random.key(0))
    sums = {
        name: float(jnp.abs(layer["kernel"].sum(range(layer["kernel"].ndim - 1))).max())
        for name, layer in params.items()
    }
    centred = {name for name, largest in sums.items() if largest < 1e-4}
    assert centred == {name for name in params if name.startswith(("conv", "fc"))} - {first}
