"""Training targets of the two stages: labels and box deltas of sampled anchors and of sampled RoIs."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.checks import check_array
from jaxdet.ops.boxes import encode, pairwise_iou
from jaxdet.ops.matching import match
from jaxdet.ops.sampling import keep_sampled, sample
from jaxdet.ops.take_rows import take_rows
from jaxdet.types import Proposals, RoiTargets, RpnTargets


def rpn_targets(
    key: jax.Array,
    anchors: jax.Array,
    anchor_valid: jax.Array,
    gt_boxes: jax.Array,
    gt_valid: jax.Array,
    *,
    positive_iou: float = 0.7,
    negative_iou: float = 0.3,
    batch_size: int = 256,
    positive_fraction: float = 0.5,
) -> RpnTargets:
    """Sample anchors of one image and return their labels and deltas (Faster R-CNN, 3.1.2, 3.1.3).

    Args:
      key: a key used for nothing else.
      anchors: f32[N,4] pixels.
      anchor_valid: bool[N]; by the paper's rule also False for anchors that cross the border of the image.
      gt_boxes: f32[G,4] pixels.
      gt_valid: bool[G]
      positive_iou: an anchor is positive from this IoU on, or as the best anchor of a ground truth.
      negative_iou: an anchor is negative below this IoU.
      batch_size: anchors sampled.
      positive_fraction: at most this part of them positive.

    Returns:
      RpnTargets; invalid anchors have label -1 and deltas 0, like all that were not sampled.
    """
    check_array("rpn_targets: anchors", anchors, shape=("N", 4), dtype=jnp.float32, cure="pass grid_anchors(...)")
    cure = "pass anchor_valid(...)"
    check_array("rpn_targets: anchor_valid", anchor_valid, shape=anchors.shape[:1], dtype=jnp.bool_, cure=cure)
    _check_ground_truth("rpn_targets", gt_boxes, gt_valid)

    iou = pairwise_iou(anchors, gt_boxes)
    matches = match(iou, anchor_valid, gt_valid, positive_iou=positive_iou, negative_iou=negative_iou, force_best=True)
    max_positive = int(batch_size * positive_fraction)
    index, sampled = sample(key, matches.label, anchor_valid, size=batch_size, max_positive=max_positive)
    label = keep_sampled(matches.label, index, sampled)
    deltas = encode(take_rows(gt_boxes, matches.gt_index), anchors)
    return RpnTargets(label=label, deltas=jnp.where(label[:, None] == 1, deltas, 0.0))


def roi_targets(
    key: jax.Array,
    proposals: Proposals,
    gt_boxes: jax.Array,
    gt_labels: jax.Array,
    gt_valid: jax.Array,
    *,
    batch_size: int = 128,
    positive_fraction: float = 0.25,
    positive_iou: float = 0.5,
    negative_iou: tuple[float, float] = (0.0, 0.5),
    delta_std: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2),
) -> RoiTargets:
    """Sample RoIs among the proposals and ground-truth boxes of one image and return their targets (Fast R-CNN, 2.3).

    As in py-faster-rcnn, the ground-truth boxes are appended to the proposals before sampling.

    Args:
      key: a key used for nothing else.
      proposals: P proposals; only boxes and valid are read.
      gt_boxes: f32[G,4] pixels.
      gt_labels: i32[G] 1..K.
      gt_valid: bool[G]
      batch_size: RoIs sampled, R.
      positive_fraction: at most this part of them positive.
      positive_iou: from this IoU with its best ground truth on, a RoI has the class of that ground truth.
      negative_iou: (low, high); a RoI is background where low <= IoU < high, and at any IoU in an image without ground
        truth.
      delta_std: the deltas are divided by these.

    Returns:
      RoiTargets, positives first; no gradient flows into the boxes.
    """
    cure = "pass one image's proposals; vmap over images"
    check_array("roi_targets: proposals.boxes", proposals.boxes, shape=("P", 4), dtype=jnp.float32, cure=cure)
    num_proposals = proposals.boxes.shape[0]
    check_array("roi_targets: proposals.valid", proposals.valid, shape=(num_proposals,), dtype=jnp.bool_, cure=cure)
    _check_ground_truth("roi_targets", gt_boxes, gt_valid)
    cure = "pass one class per ground-truth box"
    check_array("roi_targets: gt_labels", gt_labels, shape=gt_valid.shape, dtype=jnp.int32, cure=cure)

    # Match proposals and ground-truth boxes.
    low, high = negative_iou
    boxes = lax.stop_gradient(jnp.concatenate([proposals.boxes, gt_boxes]))  # [P+G,4]
    valid = jnp.concatenate([proposals.valid, gt_valid])
    iou = pairwise_iou(boxes, gt_boxes)
    matches = match(iou, valid, gt_valid, positive_iou=positive_iou, negative_iou=high, force_best=False)
    too_far = (matches.label == 0) & (matches.iou < low) & jnp.any(gt_valid)
    label = jnp.where(too_far, -1, matches.label)

    # Sample.
    max_positive = int(batch_size * positive_fraction)
    index, sampled = sample(key, label, valid, size=batch_size, max_positive=max_positive)

    # Gather the targets of the sample.
    rois = jnp.where(sampled[:, None], take_rows(boxes, index), 0.0)
    positive = sampled & (take_rows(label, index) == 1)
    gt_index = take_rows(matches.gt_index, index)
    deltas = encode(take_rows(gt_boxes, gt_index), rois) / jnp.asarray(delta_std, jnp.float32)[None, :]
    return RoiTargets(
        boxes=rois,
        label=jnp.where(positive, take_rows(gt_labels, gt_index), 0),
        deltas=jnp.where(positive[:, None], deltas, 0.0),
        valid=sampled,
    )


def _check_ground_truth(op: str, gt_boxes: jax.Array, gt_valid: jax.Array) -> None:
    cure = "pass one image's ground truth; vmap over images"
    check_array(f"{op}: gt_boxes", gt_boxes, shape=("G", 4), dtype=jnp.float32, cure=cure)
    check_array(f"{op}: gt_valid", gt_valid, shape=gt_boxes.shape[:1], dtype=jnp.bool_, cure=cure)
