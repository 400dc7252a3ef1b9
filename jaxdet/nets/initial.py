"""How the kernels of convolutions and hidden layers are drawn where no weights are loaded."""

import math

import jax
import jax.numpy as jnp
from flax.linen import initializers

first_layer = initializers.he_normal()  # He et al. 2015; an image's mean is near zero once normalised

# What ReLU leaves of N(0, 1) has mean square 1/2 and variance 1/2 - 1/(2 pi): the ratio of their roots.
_GAIN = math.sqrt(math.pi / (math.pi - 1))


def behind_relu(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """He et al. 2015's normal kernel [..., inputs, outputs], centred: the weights of each output sum to zero.

    Outputs of a ReLU are never negative. He's kernels respond to their common mean, which is the same everywhere, so
    that deep features of different places and images begin nearly parallel; centred ones respond to deviations from it.
    Scaled by 1.21 they nearly keep the mean square of their input, as He's do.
    """
    kernel = initializers.he_normal()(key, shape, dtype)
    return _GAIN * (kernel - kernel.mean(range(kernel.ndim - 1), keepdims=True))
