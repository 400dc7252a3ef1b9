"""The random choice of anchors and RoIs that a training step learns from."""

import jax
import jax.numpy as jnp
from jax import lax


def sample(
    key: jax.Array, label: jax.Array, valid: jax.Array, *, size: int, max_positive: int
) -> tuple[jax.Array, jax.Array]:
    """Picks up to `max_positive` positives at random and fills up to `size` with negatives (Fast R-CNN, 2.3).

    The random number of a slot belongs to its rank among the valid ones, and a longer draw of one key begins with the
    shorter: so padding, wherever it stands between the valid slots, does not change the sample.

    Args:
      key: a key used for nothing else.
      label: i32[N] 1 positive, 0 negative, -1 neither.
      valid: bool[N]; the label of an invalid slot must be -1.
      size: slots of the sample.
      max_positive: at most this many of them positive.

    Returns:
      (index i32[size], valid bool[size]): positives first, then negatives, then invalid slots, whose index is 0.
    """
    length = label.shape[0]
    rank = jnp.maximum(jnp.cumsum(valid.astype(jnp.int32)) - 1, 0)
    draw = jax.random.uniform(key, (length,))[rank]
    positive, num_positive = _largest(draw, label == 1, min(max_positive, length))
    negative, num_negative = _largest(draw, label == 0, min(size, length))

    slot = jnp.arange(size)
    fill = slot - num_positive  # which negative goes to a slot
    from_positive = positive[jnp.minimum(slot, positive.shape[0] - 1)] if max_positive else 0
    from_negative = negative[jnp.clip(fill, 0, negative.shape[0] - 1)]
    index = jnp.where(fill < 0, from_positive, from_negative)
    sampled = fill < num_negative
    return jnp.where(sampled, index, 0), sampled


def _largest(draw: jax.Array, candidate: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """The indices of the `count` candidates of the largest draw (ties: lower index), and how many there are."""
    _, index = lax.top_k(jnp.where(candidate, draw, -1.0), count)
    return index, jnp.minimum(jnp.sum(candidate, dtype=jnp.int32), count)


def keep_sampled(label: jax.Array, index: jax.Array, sampled: jax.Array) -> jax.Array:
    """Sets the labels of all slots that were not sampled to -1.

    Args:
      label: i32[N]
      index, sampled: what `sample` returned.

    Returns:
      i32[N]
    """
    length = label.shape[0]
    chosen = jnp.zeros(length, bool).at[jnp.where(sampled, index, length)].set(True, mode="drop")
    return jnp.where(chosen, label, -1)
