"""Rows of a table by index, without the gathers that a TPU does one element at a time."""

import jax
import jax.numpy as jnp

from jaxdet.ops.by_platform import by_platform


def take_rows(table: jax.Array, index: jax.Array) -> jax.Array:
    """Return table[index].

    Args:
      table: [G,...]
      index: i32[N] in 0..G-1.

    Returns:
      [N,...] of the dtype of `table`.
    """
    return by_platform(table, index, tpu=select_rows, default=lambda table, index: table[index])


def select_rows(table: jax.Array, index: jax.Array) -> jax.Array:
    """Return table[index] as a sum over the table in which only the row's own term is not 0; exact."""
    columns = table.reshape(table.shape[0], -1).T[:, None]  # [K,1,G]: a TPU is fast along a long last axis
    chosen = (index[:, None] == jnp.arange(table.shape[0], dtype=index.dtype)[None])[None]  # [1,N,G]
    if table.dtype == jnp.bool_:
        rows = jnp.any(chosen & columns, axis=2)
    else:
        rows = jnp.sum(jnp.where(chosen, columns, jnp.zeros((), table.dtype)), axis=2, dtype=table.dtype)
    return rows.T.reshape(-1, *table.shape[1:])
