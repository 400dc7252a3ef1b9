"""How the kernels of convolutions and hidden layers are drawn where no weights are loaded: He's normal, mirrored.

Channels come in pairs of opposite sign, so that the next layer, whose weights for a pair are opposite, too, sees
relu(x) - relu(-x) = x: up to the last hidden layer, poolings and normalisations apart, the net begins as a linear one,
and its gradients at similar inputs are more alike ('looks linear': Balduzzi et al. 2017, The shattered gradients
problem, with He's normal for their orthogonal blocks). The RPN's layers and the last ones are drawn as the papers say.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax.linen import initializers

_he_normal = initializers.he_normal()  # He et al. 2015, truncated: variance 2 / inputs


def first_layer(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """The kernel [..., inputs, outputs] of a layer that sees an image: every second output is minus the one before."""
    return _mirrored(_he_normal(key, shape, dtype), axis=-1)


def behind_relu(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """The kernel [..., inputs, outputs] of any other layer: the inputs, too, come in pairs of opposite weights.

    Inputs 0 and 1, 2 and 3, ... of a group are pairs; an odd last one, and those that an odd group cuts apart, begin as
    He's. With the ReLU behind it, the mean square of such pairs is kept.

    The taps' standard deviations are in the ratios of a binomial filter, 1 2 1 along each axis of 3x3: equal ones, one
    layer behind the other, spread what is seen of a small object over ever more cells (after Xiao et al. 2018,
    Dynamical isometry and a mean field theory of CNNs, where only the middle tap is not zero).
    """
    kernel = _mirrored(first_layer(key, shape, dtype), axis=-2)
    for axis, side in enumerate(shape[:-2]):
        weight = np.array([math.comb(side - 1, i) for i in range(side)])
        kernel = _scaled(kernel, weight / np.sqrt(np.square(weight).mean()), axis)
    return kernel


def _mirrored(kernel: jax.Array, axis: int) -> jax.Array:
    """The first, third, ... slice along an axis, each followed by its negative; an odd last one alone."""
    place = np.arange(kernel.shape[axis])
    return _scaled(jnp.take(kernel, place // 2 * 2, axis), (-1.0) ** place, axis)


def _scaled(kernel: jax.Array, factors: np.ndarray, axis: int) -> jax.Array:
    """Multiplies each slice along an axis by its factor."""
    others = [a for a in range(kernel.ndim) if a != axis % kernel.ndim]
    return kernel * jnp.asarray(np.expand_dims(factors, others), kernel.dtype)
