"""Which ground truth each anchor or proposal belongs to."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.checks import check_array
from jaxdet.types import Matches


def match(
    iou: jax.Array,
    anchor_valid: jax.Array,
    gt_valid: jax.Array,
    *,
    positive_iou: float,
    negative_iou: float,
    force_best: bool,
) -> Matches:
    """Labels boxes as positive, negative or neither by their overlap with the ground truth (Faster R-CNN, 3.1.2).

    Args:
      iou: f32[N,G] from `pairwise_iou(anchors, gt_boxes)`.
      anchor_valid: bool[N]
      gt_valid: bool[G]
      positive_iou: a box is positive from this IoU with its best ground truth on.
      negative_iou: a box is negative below this IoU; what lies between the two is ignored.
      force_best: whether the valid boxes that overlap a ground truth most (all ties) are positive at any IoU above 0.
        Such a box still keeps its own best ground truth, which may be another one.

    Returns:
      Matches; invalid boxes, and all boxes where no ground truth is valid, have gt_index 0 and iou 0, and the label is
      -1 for the former and 0 for the latter. Equal IoUs choose the ground truth of the lower index.
    """
    check_array("match: iou", iou, shape=("N", "G"), dtype=jnp.float32, cure="pass pairwise_iou(anchors, gt_boxes)")
    # [G,N]: the long axis last vectorises. The barrier keeps XLA from computing the IoU once for the maximum and again,
    # with another rounding, for the comparison with it: ties would be lost.
    overlap = lax.optimization_barrier(iou.T)
    overlap = jnp.where(gt_valid[:, None] & anchor_valid[None, :], overlap, 0.0)
    best_iou = jnp.max(overlap, axis=0)  # [N]
    gt_index = jnp.argmax(overlap, axis=0).astype(jnp.int32)
    positive = best_iou >= positive_iou
    if force_best:
        best_of_gt = jnp.max(overlap, axis=1, keepdims=True)  # [G,1]
        positive |= jnp.any((overlap == best_of_gt) & (overlap > 0.0), axis=0)
    label = jnp.where(positive, 1, jnp.where(best_iou < negative_iou, 0, -1))
    return Matches(gt_index=gt_index, label=jnp.where(anchor_valid, label, -1).astype(jnp.int32), iou=best_iou)
