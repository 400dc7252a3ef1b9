"""Max pooling that tracks the size of each image, and zeroing of the cells outside it: padding never matters."""

import functools

import jax
import jax.numpy as jnp
from jax import lax


def zero_outside(x: jax.Array, size: jax.Array) -> jax.Array:
    """Return x [B,h,w,C] with zeros in the cells at or beyond `size` i32[B,2] (height, width)."""
    inside_y = jnp.arange(x.shape[1])[None, :] < size[:, :1]  # [B,h]
    inside_x = jnp.arange(x.shape[2])[None, :] < size[:, 1:]  # [B,w]
    inside = inside_y[:, :, None, None] & inside_x[:, None, :, None]
    return jnp.where(inside, x, jnp.zeros((), x.dtype))


def max_pool_2x2(x: jax.Array, size: jax.Array, *, rounding: str) -> tuple[jax.Array, jax.Array]:
    """Max-pool 2x2 cells with stride 2.

    Cells outside an image are zero, so after a ReLU they are never larger than a cell of the image.

    Args:
      x: [B,h,w,C], h and w even, values >= 0.
      size: i32[B,2] (height, width) of each image in x.
      rounding: an image's odd last row or column is pooled alone ('ceil', as Caffe: four poolings make 38x63 cells of
        600x1000) or dropped ('floor', as PyTorch: 37x62).

    Returns:
      ([B,h/2,w/2,C], i32[B,2] its size per image).
    """
    batch, height, width, channels = x.shape
    # Not reduce_window, whose gradient is very slow on CPU, nor strided slices, a seventh slower with their gradient.
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).max((2, 4))
    size = (size + 1) // 2 if rounding == "ceil" else size // 2
    return zero_outside(x, size), size


def max_pool_3x3(x: jax.Array, size: jax.Array, *, padding: int, rounding: str) -> tuple[jax.Array, jax.Array]:
    """Max-pool overlapping windows of 3x3 cells with stride 2.

    Args:
      x: [B,h,w,C], values >= 0.
      size: i32[B,2] (height, width) of each image in x.
      padding: 0 or 1 cells of zeros on every side.
      rounding: cells that fill no whole window are pooled alone ('ceil', as Caffe: 76 of 150 padded cells) or dropped
        ('floor', as PyTorch: 75).

    Returns:
      ([B,h',w',C], i32[B,2] its size per image).
    """
    spare = 2 * padding - (rounding == "floor")
    for axis in (1, 2):
        windows = (x.shape[axis] + spare) // 2
        behind = max(0, 2 * windows + 1 - padding - x.shape[axis])
        x = jnp.pad(x, [(padding, behind) if i == axis else (0, 0) for i in range(4)])
        # Neither reduce_window nor a reshape to pairs: with their gradient both take twice as long on CPU.
        taps = [lax.slice_in_dim(x, i, i + 2 * windows - 1, 2, axis) for i in range(3)]
        x = functools.reduce(jnp.maximum, taps)
    size = (size + spare) // 2
    return zero_outside(x, size), size
