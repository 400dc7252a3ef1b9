"""Initialisers of the kernels of convolutions and hidden layers, for training without loaded weights.

The RPN's layers and the output layers are not initialised here but from the normal distributions of their papers.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import Initializer, he_normal


class KernelInit(NamedTuple):
    """Two functions (key, shape, dtype) -> kernel of shape [..., inputs, outputs]."""

    first_layer: Initializer  # of the layer that sees the image
    after_relu: Initializer  # of every layer whose inputs come from a ReLU


def kernel_initializers(init: str) -> KernelInit:
    """Return the initialisers by name; INITS has the names.

    'he_normal' (He et al. 2015, Delving deep into rectifiers) is a truncated normal of variance 2 / fan-in for all
    layers.

    'looks_linear' (Balduzzi et al. 2017, The shattered gradients problem, with He's normal for their orthogonal blocks)
    gives channels in pairs of opposite sign. The next layer, whose weights for the two are opposite too, then sees
    relu(x) - relu(-x) = x: up to the last hidden layer, poolings and LRN apart, the net starts as a linear one, and its
    gradients at similar inputs are more alike.
    """
    return INITS[init]


_he_normal = he_normal()


def _looks_linear_first(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """Return He's normal kernel in which output 2i+1 is the negative of output 2i."""
    return _mirror(_he_normal(key, shape, dtype), axis=-1)


def _looks_linear_after_relu(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """Return a kernel whose outputs are paired as in the first layer, and its inputs too: 2i and 2i+1 are opposite.

    Pairs lie within a group; an odd last input, and those that an odd group separates from their partner, start as
    He's. With the ReLU before it, the layer preserves the mean square of its input.

    The standard deviations of a kernel's taps have the ratios of a binomial filter, 1 2 1 along each axis of 3x3: equal
    ones would spread the response to a small object over more cells with every layer (after Xiao et al. 2018, Dynamical
    isometry and a mean field theory of CNNs, where only the middle tap is not zero).
    """
    kernel = _mirror(_looks_linear_first(key, shape, dtype), axis=-2)
    for axis, side in enumerate(shape[:-2]):
        weight = np.array([math.comb(side - 1, i) for i in range(side)])
        kernel = _scale(kernel, weight / np.sqrt(np.square(weight).mean()), axis)
    return kernel


def _mirror(kernel: jax.Array, axis: int) -> jax.Array:
    """Replace each odd slice along an axis by the negative of the slice before it."""
    place = np.arange(kernel.shape[axis])
    return _scale(jnp.take(kernel, place // 2 * 2, axis), (-1.0) ** place, axis)


def _scale(kernel: jax.Array, factors: np.ndarray, axis: int) -> jax.Array:
    """Multiply each slice along an axis by its factor."""
    others = [a for a in range(kernel.ndim) if a != axis % kernel.ndim]
    return kernel * jnp.asarray(np.expand_dims(factors, others), kernel.dtype)


INITS = {
    "he_normal": KernelInit(_he_normal, _he_normal),
    "looks_linear": KernelInit(_looks_linear_first, _looks_linear_after_relu),
}
