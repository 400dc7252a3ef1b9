"""How the kernels of convolutions and hidden layers are drawn where no weights are loaded: He's normal, mirrored.

Channels come in pairs of opposite sign, so that the next layer, whose weights for a pair are opposite, too, sees
relu(x) - relu(-x) = x: but for the poolings, the net begins as a linear one and its gradients tell the same of
neighbouring inputs (Balduzzi et al. 2017, The shattered gradients problem, section 4: 'looks linear').
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax.linen import initializers

_he_normal = initializers.he_normal()  # He et al. 2015: variance 2 / inputs


def first_layer(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """The kernel [..., inputs, outputs] of a layer that sees an image: every second output is minus the one before."""
    return _mirrored(_he_normal(key, shape, dtype), axis=-1)


def behind_relu(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """The kernel [..., inputs, outputs] of any other layer: every second input's weights, too, are minus those before.

    A kernel of several taps has most of its weight in the middle, as a binomial filter has: evenly weighted ones, one
    behind the other, blur what small objects look like (after Xiao et al. 2018, Dynamical isometry and a mean field
    theory of CNNs, whose kernels are one tap wide). The mean square of an input is kept.
    """
    kernel = _mirrored(_mirrored(_he_normal(key, shape, dtype), axis=-1), axis=-2)
    for axis, side in enumerate(shape[:-2]):
        weight = np.array([math.comb(side - 1, i) for i in range(side)])
        kernel = _scaled(kernel, weight / np.sqrt(np.square(weight).mean()), axis)
    return kernel


def _mirrored(kernel: jax.Array, axis: int) -> jax.Array:
    """The first, third, ... slice along an axis, each followed by its negative."""
    place = np.arange(kernel.shape[axis])
    return _scaled(jnp.take(kernel, place // 2 * 2, axis), (-1.0) ** place, axis)


def _scaled(kernel: jax.Array, factors: np.ndarray, axis: int) -> jax.Array:
    """Multiplies each slice along an axis by its factor."""
    others = [a for a in range(kernel.ndim) if a != axis % kernel.ndim]
    return kernel * jnp.asarray(np.expand_dims(factors, others), kernel.dtype)
