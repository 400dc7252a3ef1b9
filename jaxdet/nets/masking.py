"""Zeroing outside the image, so that padding never changes a result, and the pooling that keeps track of the size."""

import jax
import jax.numpy as jnp


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
