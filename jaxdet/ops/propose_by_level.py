"""Proposals from the region proposal network's outputs over several feature maps."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdet.checks import check_array
from jaxdet.ops.boxes import clip, decode
from jaxdet.ops.by_platform import by_platform
from jaxdet.ops.nms import kept_sorted, nms_sorted
from jaxdet.ops.sorting import sort, top_k
from jaxdet.ops.take_rows import select_rows
from jaxdet.types import Proposals


def propose_by_level(
    objectness: jax.Array,
    deltas: jax.Array,
    anchors: jax.Array,
    anchor_valid: jax.Array,
    image_size: jax.Array,
    min_size: jax.Array,
    level_sizes: Sequence[int],
    *,
    pre_nms_top_n: int,
    post_nms_top_n: int,
    nms_iou: float,
    max_log_scale: float | None = None,
) -> Proposals:
    """Decode the best anchors of each level, suppress within each level and return the best boxes of all (FPN, 4.1).

    As in torchvision, a level's best anchors are chosen before small boxes are dropped; `propose` drops them first.

    Args:
      objectness: f32[N], object minus background logit, level by level.
      deltas, anchors, anchor_valid, image_size, min_size: as in `propose`.
      level_sizes: anchors of each level; they add up to N.
      pre_nms_top_n: best boxes of each level that enter the suppression.
      post_nms_top_n: proposals returned at most over all levels, P.
      nms_iou: a box is dropped where its IoU with a better one of its level is above this.
      max_log_scale: see `decode`.

    Returns:
      Proposals by descending objectness, constants to the gradient; invalid slots come last and hold zeros.
    """
    num_anchors = sum(level_sizes)
    cure = "pass the outputs for one image, all levels joined; vmap over images"
    check_array("propose_by_level: objectness", objectness, shape=(num_anchors,), dtype=jnp.float32, cure=cure)
    check_array("propose_by_level: deltas", deltas, shape=(num_anchors, 4), dtype=jnp.float32, cure=cure)
    check_array("propose_by_level: anchors", anchors, shape=(num_anchors, 4), dtype=jnp.float32, cure=cure)
    check_array("propose_by_level: anchor_valid", anchor_valid, shape=(num_anchors,), dtype=jnp.bool_, cure=cure)
    objectness, deltas = lax.stop_gradient((objectness, deltas))

    # Decode, and rank.
    boxes = clip(decode(deltas, anchors, max_log_scale=max_log_scale), image_size)
    limits: dict[str, Any] = {
        "level_sizes": tuple(level_sizes),
        "entering": min(pre_nms_top_n, max(level_sizes)),
        "nms_iou": nms_iou,
        "max_outputs": post_nms_top_n,
    }
    proposals = by_platform(
        jnp.where(anchor_valid, objectness, -jnp.inf),
        boxes,
        min_size,
        tpu=functools.partial(best_by_sorting, **limits),
        default=functools.partial(best_by_index, **limits),
    )
    missing = post_nms_top_n - proposals.valid.shape[0]
    return jax.tree.map(lambda leaf: jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)), proposals)


def best_by_index(
    scores: jax.Array,
    boxes: jax.Array,
    min_size: jax.Array,
    *,
    level_sizes: tuple[int, ...],
    entering: int,
    nms_iou: float,
    max_outputs: int,
) -> Proposals:
    """Return the best boxes f32[N,4] of all levels after suppression within each; `scores` f32[N] may be -inf."""
    # Slots beyond a level's anchors are invalid.
    orders = []
    for start, length in _spans(level_sizes):
        _, best = lax.top_k(scores[start : start + length], min(entering, length))
        orders.append(jnp.pad(start + best, (0, entering - len(best)), constant_values=-1))
    order = jnp.stack(orders)  # [L,entering]
    scores, boxes = jnp.where(order < 0, -jnp.inf, scores[order]), boxes[order]

    def suppress(boxes: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
        return nms_sorted(boxes, valid, iou_threshold=nms_iou, max_outputs=min(max_outputs, entering))

    selected, valid = jax.vmap(suppress)(boxes, _candidate(scores, boxes, min_size))
    scores = jnp.where(valid, jnp.take_along_axis(scores, selected, axis=1), -jnp.inf).reshape(-1)
    boxes = jnp.take_along_axis(boxes, selected[..., None], axis=1).reshape(-1, 4)

    # Keep the best of all levels.
    top_scores, top = lax.top_k(scores, min(max_outputs, scores.shape[0]))
    return _proposals(top_scores, boxes[top])


def best_by_sorting(
    scores: jax.Array,
    boxes: jax.Array,
    min_size: jax.Array,
    *,
    level_sizes: tuple[int, ...],
    entering: int,
    nms_iou: float,
    max_outputs: int,
) -> Proposals:
    """As best_by_index, but boxes are sorted with their scores: a TPU sorts faster than it looks up."""
    # One sort of all levels: that of each leaves it in its place.
    level = jnp.asarray(np.repeat(np.arange(len(level_sizes), dtype=np.int32), level_sizes))
    _, scores, _, *corners = sort(level, -scores, jnp.arange(len(scores)), *boxes.T, num_keys=3)

    def best(x: jax.Array, fill: float) -> jax.Array:
        parts = [x[start : start + min(entering, length)] for start, length in _spans(level_sizes)]
        return jnp.stack([jnp.pad(part, (0, entering - len(part)), constant_values=fill) for part in parts])

    scores, boxes = -best(scores, jnp.inf), jnp.stack([best(x, 0.0) for x in corners], axis=-1)

    def suppress(boxes: jax.Array, valid: jax.Array) -> jax.Array:
        return kept_sorted(boxes, valid, iou_threshold=nms_iou, max_outputs=max_outputs)

    keep = jax.vmap(suppress)(boxes, _candidate(scores, boxes, min_size))

    # Keep the best of all levels.
    scores = jnp.where(keep, scores, -jnp.inf).reshape(-1)
    top_scores, top = top_k(scores, min(max_outputs, scores.shape[0]))
    return _proposals(top_scores, select_rows(boxes.reshape(-1, 4), top))


def _spans(level_sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the first anchor of each level, and how many it has."""
    return list(zip(itertools.accumulate(level_sizes, initial=0), level_sizes, strict=False))


def _candidate(scores: jax.Array, boxes: jax.Array, min_size: jax.Array) -> jax.Array:
    return (scores > -jnp.inf) & jnp.all(boxes[..., 2:] - boxes[..., :2] >= min_size, axis=-1)


def _proposals(scores: jax.Array, boxes: jax.Array) -> Proposals:
    """Return the proposals of which the invalid ones have a score of -inf."""
    valid = scores > -jnp.inf
    return Proposals(boxes=jnp.where(valid[:, None], boxes, 0.0), scores=jnp.where(valid, scores, 0.0), valid=valid)
