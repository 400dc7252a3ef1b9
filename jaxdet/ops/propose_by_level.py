"""Proposals from the region proposal network's outputs over several feature maps."""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.checks import check_array
from jaxdet.ops.boxes import clip, decode
from jaxdet.ops.nms import nms_sorted
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

    # The best anchors of each level; slots beyond a level's anchors are invalid.
    slots = min(pre_nms_top_n, max(level_sizes))
    ranked = jnp.where(anchor_valid, objectness, -jnp.inf)
    orders, counts = [], []
    for start, length in zip(itertools.accumulate(level_sizes, initial=0), level_sizes, strict=False):
        count = min(slots, length)
        _, best = lax.top_k(ranked[start : start + length], count)
        orders.append(jnp.pad(start + best, (0, slots - count)))
        counts.append(count)
    order = jnp.stack(orders)  # [L,slots]
    filled = jnp.arange(slots)[None, :] < jnp.asarray(counts)[:, None]

    # Decode them, and drop small boxes.
    boxes = clip(decode(deltas[order], anchors[order], max_log_scale=max_log_scale), image_size)
    large_enough = jnp.all(boxes[..., 2:] - boxes[..., :2] >= min_size, axis=-1)
    candidate = filled & anchor_valid[order] & large_enough

    # Suppress within each level.
    def suppress(boxes: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
        return nms_sorted(boxes, valid, iou_threshold=nms_iou, max_outputs=min(post_nms_top_n, slots))

    selected, valid = jax.vmap(suppress)(boxes, candidate)
    scores = jnp.where(valid, jnp.take_along_axis(objectness[order], selected, axis=1), -jnp.inf).reshape(-1)
    boxes = jnp.take_along_axis(boxes, selected[..., None], axis=1).reshape(-1, 4)

    # Keep the best of all levels.
    top_scores, top = lax.top_k(scores, min(post_nms_top_n, scores.shape[0]))
    valid = valid.reshape(-1)[top]
    proposals = Proposals(
        boxes=jnp.where(valid[:, None], boxes[top], 0.0), scores=jnp.where(valid, top_scores, 0.0), valid=valid
    )
    missing = post_nms_top_n - top.shape[0]
    return jax.tree.map(lambda leaf: jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)), proposals)
