"""Sorting of boxes and scores: the kernel of sort_tpu on a TPU where they fit it, XLA's own sort elsewhere."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.ops import sort_tpu
from jaxdet.ops.by_platform import by_platform


def sort(*operands: jax.Array, num_keys: int) -> tuple[jax.Array, ...]:
    """Return the operands [N] by ascending keys, the first `num_keys` of them; no two slots may have equal keys."""

    def by_xla(*operands: jax.Array) -> tuple[jax.Array, ...]:
        return tuple(lax.sort(operands, num_keys=num_keys, is_stable=False))

    # Large pyramids have too many anchors for a kernel: 268,000 in images of 800x1344.
    by_kernel = functools.partial(sort_tpu.sort, num_keys=num_keys)
    fits = sort_tpu.fits(operands[0].shape[0], len(operands))
    return by_platform(*operands, tpu=by_kernel if fits else by_xla, default=by_xla)


def sort_boxes(key: jax.Array, boxes: jax.Array, *, count: int) -> tuple[jax.Array, jax.Array]:
    """Return the first `count` of key [N] and boxes f32[N,4] by ascending key; ties keep their order."""
    key, _, *corners = sort(key, jnp.arange(key.shape[0]), *boxes.T, num_keys=2)
    return key[:count], jnp.stack([x[:count] for x in corners], axis=-1)


def top_k(values: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Return the `count` largest values, in order, and their indices i32[count]; ties: lower index.

    `values` is f32[N] without NaN and -0.
    """
    return by_platform(
        values,
        tpu=functools.partial(top_k_by_sorting, count=count),
        default=lambda values: tuple(lax.top_k(values, count)),
    )


def top_k_by_sorting(values: jax.Array, *, count: int) -> tuple[jax.Array, jax.Array]:
    """Return the result of `top_k`; an index is the second key, so ties go to the lower one."""
    negative, index = sort(-values, jnp.arange(values.shape[0]), num_keys=2)
    return 0.0 - negative[:count], index[:count]  # 0 and not -0


def move_to_front(chosen: jax.Array, *values: jax.Array) -> tuple[jax.Array, ...]:
    """Return values [N] with those in the `chosen` slots, bool[N], first and in their order; the others follow."""
    length = chosen.shape[0]
    place = jnp.arange(length)
    return sort(jnp.where(chosen, place, length + place), *values, num_keys=1)[1:]


def move_to_chosen(chosen: jax.Array, values: jax.Array) -> jax.Array:
    """Return values [N] of which the k-th is in the k-th `chosen` slot; the others are in the other slots."""
    (slots,) = move_to_front(chosen, jnp.arange(chosen.shape[0]))
    return sort(slots, values, num_keys=1)[1]
