"""Rows of a table by index, without the gathers that a TPU does one element at a time."""

import jax
import jax.numpy as jnp
from jax import lax


def take_rows(table: jax.Array, index: jax.Array) -> jax.Array:
    """Return table[index].

    Args:
      table: [G,...]
      index: i32[N] in 0..G-1.

    Returns:
      [N,...] of the dtype of `table`.
    """
    return lax.platform_dependent(table, index, tpu=select_rows, default=lambda table, index: table[index])


def select_rows(table: jax.Array, index: jax.Array) -> jax.Array:
    """Return table[index] as a sum over the table in which only the row's own term is not 0; exact."""
    chosen = index[:, None] == jnp.arange(table.shape[0], dtype=index.dtype)[None]  # [N,G]
    chosen = chosen.reshape(*chosen.shape, *(1,) * (table.ndim - 1))
    if table.dtype == jnp.bool_:
        return jnp.any(chosen & table[None], axis=1)
    return jnp.sum(jnp.where(chosen, table[None], jnp.zeros((), table.dtype)), axis=1, dtype=table.dtype)
