"""Detections from the head's outputs."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.checks import check_array
from jaxdet.ops.boxes import clip, decode
from jaxdet.ops.by_platform import by_platform
from jaxdet.ops.nms import kept_sorted, nms
from jaxdet.ops.sorting import sort_boxes, top_k
from jaxdet.ops.take_rows import select_rows
from jaxdet.types import Detections


def detect(
    scores: jax.Array,
    deltas: jax.Array,
    boxes: jax.Array,
    valid: jax.Array,
    image_size: jax.Array,
    *,
    score_threshold: float,
    nms_iou: float,
    max_detections: int,
    pre_nms_per_class: int = 0,
    min_size: float = 0.0,
    max_log_scale: float | None = None,
) -> Detections:
    """Refine every RoI for every class, suppress within each class and keep the best of all (Fast R-CNN, 2.2, 3.1).

    Args:
      scores: f32[R,K+1] probabilities, or the scores of SVMs; the background's, first, are not read.
      deltas: f32[R,K+1,4] in their own scale, not normalised.
      boxes: f32[R,4] RoIs in pixels.
      valid: bool[R]
      image_size: f32[2] (height, width); boxes are clipped to it.
      score_threshold: only scores above this are detections.
      nms_iou: a box is dropped where its IoU with a better one of its class is above this.
      max_detections: boxes kept at most over all classes, D.
      pre_nms_per_class: of each class only this many boxes, those of the highest score (ties: lower RoI), enter NMS; 0
        for all. R-CNN's and Fast R-CNN's code takes 100.
      min_size: boxes with a side shorter than this are dropped, in pixels (torchvision: 0.01).
      max_log_scale: see `decode`.

    Returns:
      Detections by descending score (ties: lower class, then lower RoI); invalid slots come last and hold zeros.
    """
    cure = "pass the outputs for one image; vmap over images"
    check_array("detect: scores", scores, shape=("R", "K+1"), dtype=jnp.float32, cure=cure)
    num_rois, num_labels = scores.shape
    check_array("detect: deltas", deltas, shape=(num_rois, num_labels, 4), dtype=jnp.float32, cure=cure)
    check_array("detect: boxes", boxes, shape=(num_rois, 4), dtype=jnp.float32, cure=cure)
    check_array("detect: valid", valid, shape=(num_rois,), dtype=jnp.bool_, cure="pass the RoIs' mask")
    check_array("detect: image_size", image_size, shape=(2,), dtype=jnp.float32, cure="pass (height, width)")

    # Decode the box of every class.
    class_scores = scores[:, 1:].T  # [K,R]
    class_boxes = clip(decode(deltas[:, 1:], boxes[:, None, :], max_log_scale=max_log_scale), image_size)
    class_boxes = jnp.swapaxes(class_boxes, 0, 1)  # [K,R,4]
    finite = jnp.all(jnp.isfinite(class_boxes), axis=-1)  # a box is NaN where its deltas overflow
    large_enough = jnp.all(class_boxes[..., 2:] - class_boxes[..., :2] >= min_size, axis=-1)
    candidate = valid[None, :] & (class_scores > score_threshold) & finite & large_enough

    # Suppress within each class, and keep the best of all.
    limits: dict[str, Any] = {
        "entering": min(pre_nms_per_class or num_rois, num_rois),
        "nms_iou": nms_iou,
        "max_detections": max_detections,
    }
    detections = by_platform(
        class_scores,
        class_boxes,
        candidate,
        tpu=functools.partial(best_by_sorting, **limits),
        default=functools.partial(best_by_index, **limits),
    )
    missing = max_detections - detections.valid.shape[0]
    return jax.tree.map(lambda leaf: jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)), detections)


def best_by_index(
    class_scores: jax.Array,
    class_boxes: jax.Array,
    candidate: jax.Array,
    *,
    entering: int,
    nms_iou: float,
    max_detections: int,
) -> Detections:
    """Return the best of the boxes f32[K,R,4] that remain after suppression within each class.

    Args:
      class_scores: f32[K,R]
      class_boxes: f32[K,R,4]
      candidate: bool[K,R]
      entering: boxes of each class that enter suppression.
      nms_iou: see `detect`.
      max_detections: see `detect`.

    Returns:
      At most max_detections Detections, fewer where K and R are small.
    """
    if entering < class_scores.shape[1]:
        best = lax.top_k(jnp.where(candidate, class_scores, -jnp.inf), entering)[1]  # [K,entering], in order
        class_scores, candidate = (jnp.take_along_axis(x, best, axis=1) for x in (class_scores, candidate))
        class_boxes = jnp.take_along_axis(class_boxes, best[..., None], axis=1)

    # Suppress within each class.
    per_class = min(max_detections, entering)

    def suppress(boxes, scores, valid):
        return nms(boxes, scores, valid, iou_threshold=nms_iou, max_outputs=per_class)

    index, selected = jax.vmap(suppress)(class_boxes, class_scores, candidate)  # [K,per_class]
    selected_scores = jnp.where(selected, jnp.take_along_axis(class_scores, index, axis=1), -jnp.inf).reshape(-1)
    selected_boxes = jnp.take_along_axis(class_boxes, index[..., None], axis=1).reshape(-1, 4)
    selected = selected.reshape(-1)

    # Keep the best of all classes.
    top_scores, top = lax.top_k(selected_scores, min(max_detections, selected.shape[0]))
    top_valid = selected[top]
    return Detections(
        boxes=jnp.where(top_valid[:, None], selected_boxes[top], 0.0),
        scores=jnp.where(top_valid, top_scores, 0.0),
        labels=jnp.where(top_valid, top // per_class + 1, 0),
        valid=top_valid,
    )


def best_by_sorting(
    class_scores: jax.Array,
    class_boxes: jax.Array,
    candidate: jax.Array,
    *,
    entering: int,
    nms_iou: float,
    max_detections: int,
) -> Detections:
    """As best_by_index, but boxes are sorted with their scores: a TPU sorts faster than it looks up."""
    num_classes = class_scores.shape[0]
    count = min(max_detections, num_classes * min(max_detections, entering))

    # Suppress within each class.
    def suppress(scores, boxes):
        scores, boxes = sort_boxes(-scores, boxes, count=entering)
        keep = kept_sorted(boxes, scores < jnp.inf, iou_threshold=nms_iou, max_outputs=max_detections)
        return jnp.where(keep, -scores, -jnp.inf), boxes

    scores, boxes = jax.vmap(suppress)(jnp.where(candidate, class_scores, -jnp.inf), class_boxes)

    # Keep the best of all classes.
    scores, top = top_k(scores.reshape(-1), count)
    boxes = select_rows(boxes.reshape(-1, 4), top)
    valid = scores > -jnp.inf
    return Detections(
        boxes=jnp.where(valid[:, None], boxes, 0.0),
        scores=jnp.where(valid, scores, 0.0),
        labels=jnp.where(valid, top // entering + 1, 0),
        valid=valid,
    )
