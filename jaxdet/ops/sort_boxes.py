"""Sorting of boxes together with what belongs to them."""

import jax
import jax.numpy as jnp
from jax import lax


def sort_boxes(key: jax.Array, boxes: jax.Array, *values: jax.Array, count: int) -> tuple[jax.Array, ...]:
    """Return the first `count` of key [N], boxes f32[N,4] and values [N] by ascending key; ties keep their order."""
    operands = (key, *boxes.T, *values)
    key, x1, y1, x2, y2, *payload = (x[:count] for x in lax.sort(operands, num_keys=1, is_stable=True))
    return key, jnp.stack([x1, y1, x2, y2], axis=-1), *payload
