"""Zeroing outside the image, so that padding never changes a result, and the pooling that keeps track of the size."""

import functools

import jax
import jax.numpy as jnp
from jax import lax


def zero_outside(x: jax.Array, size: jax.Array) -> jax.Array:
    """Zeroes the cells of x [B,h,w,C] at or beyond `size` i32[B,2] (height, width)."""
    inside_y = jnp.arange(x.shape[1])[None, :] < size[:, :1]  # [B,h]
    inside_x = jnp.arange(x.shape[2])[None, :] < size[:, 1:]  # [B,w]
    inside = inside_y[:, :, None, None] & inside_x[:, None, :, None]
    return jnp.where(inside, x, jnp.zeros((), x.dtype))


def max_pool_2x2(x: jax.Array, size: jax.Array, *, rounding: str) -> tuple[jax.Array, jax.Array]:
    """Max-pools x [B,h,w,C] (h, w even, values >= 0) by 2x2 cells and halves `size` i32[B,2].

    `rounding` says what becomes of an image's odd last row: 'ceil' pools it alone, as Caffe does (600x1000 -> 38x63
    after four), 'floor' drops it, as PyTorch does (37x62). Cells outside the image are zero, so after a ReLU they
    never win.
    """
    batch, height, width, channels = x.shape
    # Not reduce_window, whose gradient is very slow on CPU; nor strided slices, a seventh slower with their gradient.
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).max((2, 4))
    size = (size + 1) // 2 if rounding == "ceil" else size // 2
    return zero_outside(x, size), size


def max_pool_3x3(x: jax.Array, size: jax.Array, *, padding: int, rounding: str) -> tuple[jax.Array, jax.Array]:
    """Max-pools x [B,h,w,C] (values >= 0) over overlapping 3x3 cells, every second one, and `size` i32[B,2] with it.

    `padding`, 0 or 1, is that of all four sides. `rounding` says what becomes of cells that fill no whole window:
    'ceil' pools them alone, as Caffe does (150 cells, padded -> 76), 'floor' drops them, as PyTorch does (75).
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
