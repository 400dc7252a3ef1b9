"""How layers are drawn that learn from nothing (with pretrained weights none of this matters)."""

import math

import jax
import jax.numpy as jnp
from flax.linen import initializers

# What ReLU leaves of N(0, 1) has mean square 1/2 and variance 1/2 - 1/(2 pi): the ratio of their roots.
_GAIN = math.sqrt(math.pi / (math.pi - 1))


def behind_relu(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """He et al. 2015's normal kernel [..., inputs, outputs], centred: the weights of each output sum to zero.

    Outputs of a ReLU are never negative. A kernel with a sum answers to their mean first, which is the same everywhere,
    and deep features of all places and images begin nearly parallel. Centred and scaled by 1.21, it keeps their power
    and answers to their differences alone. The first layer's input has a mean near zero and needs plain He.
    """
    kernel = initializers.he_normal()(key, shape, dtype)
    return _GAIN * (kernel - kernel.mean(range(kernel.ndim - 1), keepdims=True))
