"""Proposals from the region proposal network's outputs."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.checks import check_array
from jaxdet.ops.boxes import clip, decode
from jaxdet.ops.by_platform import by_platform
from jaxdet.ops.nms import kept_sorted, nms_sorted
from jaxdet.ops.sorting import move_to_front, sort_boxes
from jaxdet.types import Proposals


def propose(
    objectness: jax.Array,
    deltas: jax.Array,
    anchors: jax.Array,
    anchor_valid: jax.Array,
    image_size: jax.Array,
    min_size: jax.Array,
    *,
    pre_nms_top_n: int,
    post_nms_top_n: int,
    nms_iou: float,
    max_log_scale: float | None = None,
) -> Proposals:
    """Decode scored anchors and return the best boxes that remain after suppression (Faster R-CNN, 3.3).

    Args:
      objectness: f32[N], object minus background logit.
      deltas: f32[N,4]
      anchors: f32[N,4] pixels.
      anchor_valid: bool[N]; here True also for anchors that cross the border of the image.
      image_size: f32[2] (height, width).
      min_size: f32[] pixels; clipped boxes with a shorter side are dropped (py-faster-rcnn: 16 x the image's scale).
      pre_nms_top_n: best boxes that enter the suppression; may exceed N.
      post_nms_top_n: proposals returned at most, P.
      nms_iou: a box is dropped where its IoU with a better one is above this.
      max_log_scale: see `decode`.

    Returns:
      Proposals by descending objectness, constants to the gradient; invalid slots come last and hold zeros.
    """
    cure = "pass the outputs for one image; vmap over images"
    check_array("propose: objectness", objectness, shape=("N",), dtype=jnp.float32, cure=cure)
    num_anchors = objectness.shape[0]
    check_array("propose: deltas", deltas, shape=(num_anchors, 4), dtype=jnp.float32, cure=cure)
    check_array("propose: anchors", anchors, shape=(num_anchors, 4), dtype=jnp.float32, cure="pass grid_anchors(...)")
    cure = "pass anchor_valid(...)"
    check_array("propose: anchor_valid", anchor_valid, shape=(num_anchors,), dtype=jnp.bool_, cure=cure)
    check_array("propose: image_size", image_size, shape=(2,), dtype=jnp.float32, cure="pass (height, width)")
    check_array("propose: min_size", min_size, shape=(), dtype=jnp.float32, cure="pass pixels times the image's scale")

    # Decode, and drop small boxes.
    objectness, deltas = lax.stop_gradient((objectness, deltas))
    boxes = clip(decode(deltas, anchors, max_log_scale=max_log_scale), image_size)
    large_enough = jnp.all(boxes[:, 2:] - boxes[:, :2] >= min_size, axis=-1)
    candidate = anchor_valid & large_enough

    # Sort the best, and suppress.
    limits: dict[str, Any] = {
        "entering": min(pre_nms_top_n, num_anchors),
        "nms_iou": nms_iou,
        "max_outputs": post_nms_top_n,
    }
    return by_platform(
        jnp.where(candidate, objectness, -jnp.inf),
        boxes,
        candidate,
        tpu=functools.partial(best_by_sorting, **limits),
        default=functools.partial(best_by_index, **limits),
    )


def best_by_index(
    scores: jax.Array, boxes: jax.Array, candidate: jax.Array, *, entering: int, nms_iou: float, max_outputs: int
) -> Proposals:
    """Return the best boxes f32[N,4] after suppression; `scores` f32[N] are -inf unless `candidate` bool[N]."""
    scores, order = lax.top_k(scores, entering)
    boxes = boxes[order]
    selected, valid = nms_sorted(boxes, candidate[order], iou_threshold=nms_iou, max_outputs=max_outputs)
    return Proposals(
        boxes=jnp.where(valid[:, None], boxes[selected], 0.0),
        scores=jnp.where(valid, scores[selected], 0.0),
        valid=valid,
    )


def best_by_sorting(
    scores: jax.Array, boxes: jax.Array, candidate: jax.Array, *, entering: int, nms_iou: float, max_outputs: int
) -> Proposals:
    """As best_by_index, but boxes are sorted with their scores: a TPU sorts faster than it looks up."""
    scores, boxes = sort_boxes(-scores, boxes, count=entering)
    scores = -scores
    keep = kept_sorted(boxes, scores > -jnp.inf, iou_threshold=nms_iou, max_outputs=max_outputs)
    scores, *corners = (x[:max_outputs] for x in move_to_front(keep, scores, *boxes.T))
    boxes = jnp.stack(corners, axis=-1)
    valid = jnp.arange(boxes.shape[0]) < jnp.sum(keep)
    best = Proposals(boxes=jnp.where(valid[:, None], boxes, 0.0), scores=jnp.where(valid, scores, 0.0), valid=valid)
    missing = max_outputs - valid.shape[0]
    return jax.tree.map(lambda leaf: jnp.pad(leaf, [(0, max(missing, 0))] + [(0, 0)] * (leaf.ndim - 1)), best)
