"""Moving the chosen values of an array to its front, and back, without the gathers and sorts that are slow on a TPU.

Each value moves by its distance to its place, one power of two after the other (Warren 2012, Hacker's Delight, 7-4).
"""

import jax
import jax.numpy as jnp


def compress(chosen: jax.Array, *values: jax.Array) -> tuple[jax.Array, ...]:
    """Return values [N] with those in the `chosen` slots, bool[N], first and in their order; any others follow."""
    for distance, leaves in _moves(chosen):
        arrives = jnp.roll(leaves, -distance)
        values = tuple(jnp.where(arrives, jnp.roll(x, -distance), x) for x in values)
    return values


def expand(chosen: jax.Array, values: jax.Array) -> jax.Array:
    """Return values [N] of which the k-th is in the k-th `chosen` slot; any others are in the other slots."""
    for distance, leaves in reversed(_moves(chosen)):
        values = jnp.where(leaves, jnp.roll(values, distance), values)
    return values


def _moves(chosen: jax.Array) -> list[tuple[int, jax.Array]]:
    """Return the moves towards the front as (distance, bool[N] the slots whose value moves)."""
    length = chosen.shape[0]
    rank = jnp.cumsum(chosen.astype(jnp.int32)) - 1
    shift = jnp.where(chosen, jnp.arange(length) - rank, 0)
    moves = []
    for bit in range((length - 1).bit_length()):
        distance = 1 << bit
        leaves = (shift >> bit) & 1 == 1
        moves.append((distance, leaves))
        # No two values meet: of two, the later one is further behind than it has to move further.
        shift = jnp.where(jnp.roll(leaves, -distance), jnp.roll(shift, -distance), jnp.where(leaves, 0, shift))
    return moves
