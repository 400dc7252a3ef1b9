"""Matching of anchors or proposals to the ground truth."""

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
    """Label boxes as positive, negative or neither by their overlap with the ground truth (Faster R-CNN, 3.1.2).

    Args:
      iou: f32[N,G] from `pairwise_iou(anchors, gt_boxes)`.
      anchor_valid: bool[N]
      gt_valid: bool[G]
      positive_iou: a box is positive where its IoU with its best ground truth is at least this.
      negative_iou: a box is negative below this IoU; boxes between the two are ignored.
      force_best: the valid boxes that overlap a ground truth most (all ties) are positive at any IoU above 0. Such a
        box still belongs to its own best ground truth, which may be another one.

    Returns:
      Matches. Invalid boxes have label -1; where no ground truth is valid, the label of valid boxes is 0. Both have
      gt_index 0 and iou 0. Of equal IoUs the ground truth of the lower index is chosen.
    """
    check_array("match: iou", iou, shape=("N", "G"), dtype=jnp.float32, cure="pass pairwise_iou(anchors, gt_boxes)")
    num_anchors, num_gt = iou.shape
    check_array(
        "match: anchor_valid", anchor_valid, shape=(num_anchors,), dtype=jnp.bool_, cure="pass the mask of iou's rows"
    )
    check_array("match: gt_valid", gt_valid, shape=(num_gt,), dtype=jnp.bool_, cure="pass the mask of iou's columns")

    # [G,N]: the long axis last vectorises. The barrier keeps XLA from computing the IoU once for the maximum and again,
    # with another rounding, for the comparison with it: ties would be lost.
    overlap = lax.optimization_barrier(iou.T)
    overlap = jnp.where(gt_valid[:, None] & anchor_valid[None, :], overlap, 0.0)

    # The best ground truth of each box.
    best_iou = jnp.max(overlap, axis=0)  # [N]
    gt_index = jnp.argmax(overlap, axis=0).astype(jnp.int32)
    positive = best_iou >= positive_iou

    # The best boxes of each ground truth.
    if force_best:
        best_of_gt = jnp.max(overlap, axis=1, keepdims=True)  # [G,1]
        positive |= jnp.any((overlap == best_of_gt) & (overlap > 0.0), axis=0)

    label = jnp.where(positive, 1, jnp.where(best_iou < negative_iou, 0, -1))
    return Matches(gt_index=gt_index, label=jnp.where(anchor_valid, label, -1).astype(jnp.int32), iou=best_iou)
