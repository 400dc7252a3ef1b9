"""Random sampling of the anchors and RoIs of a training step."""

import jax
import jax.numpy as jnp

from jaxdet.checks import check_array
from jaxdet.ops.by_platform import by_platform
from jaxdet.ops.sorting import move_to_chosen, top_k
from jaxdet.ops.take_rows import take_rows


def sample(
    key: jax.Array, label: jax.Array, valid: jax.Array, *, size: int, max_positive: int
) -> tuple[jax.Array, jax.Array]:
    """Sample up to `max_positive` positives and fill up to `size` with negatives (Fast R-CNN, 2.3).

    The random number of a slot belongs to its rank among the valid slots, and with one key a longer array of random
    numbers starts with the shorter one. So padding does not change the sample, even between the valid slots.

    Args:
      key: a key used for nothing else.
      label: i32[N] 1 positive, 0 negative, -1 neither.
      valid: bool[N]; the label of an invalid slot must be -1.
      size: slots of the sample.
      max_positive: at most this many of them positive.

    Returns:
      (index i32[size], valid bool[size]): positives first, then negatives, then invalid slots, whose index is 0.
    """
    check_array("sample: label", label, shape=("N",), dtype=jnp.int32, cure="pass match(...).label of one image")
    check_array("sample: valid", valid, shape=label.shape, dtype=jnp.bool_, cure="pass the labels' mask")

    # One random number per slot, by rank.
    length = label.shape[0]
    random = jax.random.uniform(key, (length,))
    random = by_platform(valid, random, tpu=move_to_chosen, default=by_rank)

    positive, num_positive = _largest(random, label == 1, min(max_positive, length))
    negative, num_negative = _largest(random, label == 0, min(size, length))

    # Concatenate both, of which only the first num_positive and num_negative count.
    slot = jnp.arange(size)
    fill = slot - num_positive  # number of the negative in this slot
    from_positive = take_rows(positive, jnp.minimum(slot, positive.shape[0] - 1)) if max_positive else 0
    from_negative = take_rows(negative, jnp.clip(fill, 0, negative.shape[0] - 1))
    index = jnp.where(fill < 0, from_positive, from_negative)
    sampled = fill < num_negative
    return jnp.where(sampled, index, 0), sampled


def by_rank(valid: jax.Array, values: jax.Array) -> jax.Array:
    """Return values[k] for the k-th valid slot, f32[N]; any value for an invalid one."""
    return values[jnp.maximum(jnp.cumsum(valid.astype(jnp.int32)) - 1, 0)]


def _largest(random: jax.Array, candidate: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Return the indices i32[count] of the candidates with the largest random numbers (ties: lower index) and how many
    of the indices are candidates.
    """
    _, index = top_k(jnp.where(candidate, random, -1.0), count)
    return index, jnp.minimum(jnp.sum(candidate, dtype=jnp.int32), count)


def keep_sampled(label: jax.Array, index: jax.Array, sampled: jax.Array) -> jax.Array:
    """Return the labels with -1 in all slots that were not sampled.

    Args:
      label: i32[N]
      index: i32[size] from `sample`.
      sampled: bool[size] from `sample`.

    Returns:
      i32[N]
    """
    check_array("keep_sampled: label", label, shape=("N",), dtype=jnp.int32, cure="pass the labels given to sample")
    cure = "pass what sample returned"
    check_array("keep_sampled: index", index, shape=("size",), dtype=jnp.int32, cure=cure)
    check_array("keep_sampled: sampled", sampled, shape=index.shape, dtype=jnp.bool_, cure=cure)
    length = label.shape[0]
    slots = jnp.where(sampled, index, length)
    chosen = by_platform(
        slots,
        tpu=lambda slots: jnp.any(slots[None] == jnp.arange(length)[:, None], axis=1),
        default=lambda slots: jnp.zeros(length, bool).at[slots].set(True, mode="drop"),
    )
    return jnp.where(chosen, label, -1)
