"""From the head's outputs to detections."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.ops.boxes import clip, decode
from jaxdet.ops.nms import nms
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
    max_log_scale: float | None = None,
    min_size: float = 0.0,
) -> Detections:
    """Refines every RoI for every class, suppresses within each class and keeps the best of all (Fast R-CNN, 2.2, 3.1).

    Args:
      scores: f32[R,K+1] probabilities, or the scores of SVMs; the background's, first, are not read.
      deltas: f32[R,K+1,4] in their own scale, not normalised.
      boxes: f32[R,4] RoIs in pixels.
      valid: bool[R]
      image_size: f32[2] (height, width); boxes are clipped to it.
      score_threshold: only scores above this are detections.
      nms_iou: a box is dropped where its IoU with a better one of its class is above this.
      max_detections: boxes kept at most over all classes, D.
      max_log_scale: see `decode`.
      min_size: boxes with a shorter side, in pixels, are dropped.

    Returns:
      Detections by descending score (ties: lower class, then lower RoI); invalid slots come last and hold zeros.
    """
    num_rois = scores.shape[0]
    class_scores = scores[:, 1:].T  # [K,R]
    class_boxes = clip(decode(deltas[:, 1:], boxes[:, None, :], max_log_scale=max_log_scale), image_size)
    class_boxes = jnp.swapaxes(class_boxes, 0, 1)  # [K,R,4]
    large_enough = jnp.all(class_boxes[..., 2:] - class_boxes[..., :2] >= min_size, axis=-1)
    candidate = valid[None, :] & (class_scores > score_threshold) & large_enough

    per_class = min(max_detections, num_rois)

    def suppress(boxes, scores, valid):
        return nms(boxes, scores, valid, iou_threshold=nms_iou, max_outputs=per_class)

    roi, kept = jax.vmap(suppress)(class_boxes, class_scores, candidate)  # [K,per_class]
    kept_scores = jnp.where(kept, jnp.take_along_axis(class_scores, roi, axis=1), -jnp.inf).reshape(-1)
    kept_boxes = jnp.take_along_axis(class_boxes, roi[..., None], axis=1).reshape(-1, 4)
    kept = kept.reshape(-1)
    top_scores, top = lax.top_k(kept_scores, min(max_detections, kept.shape[0]))
    top_valid = kept[top]
    detections = Detections(
        boxes=jnp.where(top_valid[:, None], kept_boxes[top], 0.0),
        scores=jnp.where(top_valid, top_scores, 0.0),
        labels=jnp.where(top_valid, top // per_class + 1, 0),
        valid=top_valid,
    )
    missing = max_detections - top.shape[0]
    return jax.tree.map(lambda leaf: jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)), detections)
