"""RoIAlign on a TPU: one matrix product of all weights with all cells, for gathers and scatters are slow there."""

import jax
import jax.numpy as jnp
from jax import lax

AxisSamples = tuple[jax.Array, jax.Array]  # (cells i32, weights f32), both [R,bins,n]


def matrix_product(features: jax.Array, vertical: AxisSamples, horizontal: AxisSamples) -> jax.Array:
    """Return [R,bins,bins,C]: per bin, the sum over its rows and columns of cell * row weight * column weight.

    Args:
      features: [h,w,C]
      vertical: rows and their weights.
      horizontal: columns and their weights.
    """
    height, width, channels = features.shape
    bins = vertical[0].shape[1]
    flat = features.reshape(height * width, channels)
    output = _times(_weights(vertical, horizontal, (height, width)), flat, contracting=1)
    return output.reshape(-1, bins, bins, channels)


def _weights(vertical: AxisSamples, horizontal: AxisSamples, size: tuple[int, int]) -> jax.Array:
    """Return the weight f32[R*bins*bins,h*w] of each cell in each bin."""

    def along(axis: AxisSamples, length: int) -> jax.Array:
        cells, weights = axis
        hits = cells[..., None] == jnp.arange(length, dtype=cells.dtype).reshape(1, 1, 1, -1)
        return jnp.sum(jnp.where(hits, weights[..., None], 0.0), axis=2)  # [R,bins,length]

    rows, columns = along(vertical, size[0]), along(horizontal, size[1])
    return (rows[:, :, None, :, None] * columns[:, None, :, None, :]).reshape(-1, size[0] * size[1])


def _times(weights: jax.Array, values: jax.Array, *, contracting: int) -> jax.Array:
    """Return the product over an axis of the weights, which are not rounded to bfloat16 with the values."""
    axes = (((contracting,), (0,)), ((), ()))
    if values.dtype != jnp.bfloat16:
        return lax.dot_general(weights, values, axes, precision=lax.Precision.HIGHEST)
    high = weights.astype(jnp.bfloat16)
    low = (weights - high.astype(jnp.float32)).astype(jnp.bfloat16)
    parts = [lax.dot_general(part, values, axes, preferred_element_type=jnp.float32) for part in (high, low)]
    return sum(parts[1:], start=parts[0]).astype(values.dtype)


def matrix_product_gradient(
    g: jax.Array, vertical: AxisSamples, horizontal: AxisSamples, *, size: tuple[int, int]
) -> jax.Array:
    """Return the gradient f32[h,w,C] of the features of `matrix_product`; `size` is (h, w)."""
    total = _times(_weights(vertical, horizontal, size), g.reshape(-1, g.shape[-1]), contracting=0)
    return total.reshape(*size, -1).astype(jnp.float32)
