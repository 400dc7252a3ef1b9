"""What the two stages learn: labels and box deltas of sampled anchors and of sampled RoIs."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.ops.boxes import encode, pairwise_iou
from jaxdet.ops.matching import match
from jaxdet.ops.sampling import keep_sampled, sample
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
    """Samples the anchors of one image and says what the region proposal network learns (Faster R-CNN, 3.1.2, 3.1.3).

    Args:
      key: a key used for nothing else.
      anchors: f32[N,4] pixels.
      anchor_valid: bool[N]; in the paper's rule also False for anchors that cross the border of the image.
      gt_boxes: f32[G,4] pixels.
      gt_valid: bool[G]
      positive_iou: an anchor is positive from this IoU on, or as the best one of a ground truth.
      negative_iou: an anchor is negative below this IoU.
      batch_size: anchors sampled.
      positive_fraction: at most this part of them positive.

    Returns:
      RpnTargets; invalid anchors have label -1 and deltas 0, like all that were not sampled.
    """
    iou = pairwise_iou(anchors, gt_boxes)
    matches = match(iou, anchor_valid, gt_valid, positive_iou=positive_iou, negative_iou=negative_iou, force_best=True)
    max_positive = int(batch_size * positive_fraction)
    index, sampled = sample(key, matches.label, anchor_valid, size=batch_size, max_positive=max_positive)
    label = keep_sampled(matches.label, index, sampled)
    deltas = encode(gt_boxes[matches.gt_index], anchors)
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
    add_ground_truth: bool = True,
) -> RoiTargets:
    """Samples RoIs among the proposals of one image and its ground truth boxes, and says what the head learns
    (Fast R-CNN, 2.3).

    Args:
      key: a key used for nothing else.
      proposals: P proposals; only boxes and valid are read.
      gt_boxes: f32[G,4] pixels.
      gt_labels: i32[G] 1..K.
      gt_valid: bool[G]
      batch_size: RoIs sampled, R.
      positive_fraction: at most this part of them positive.
      positive_iou: a RoI takes the class of its best ground truth from this IoU on.
      negative_iou: a RoI is background from the first IoU on and below the second; in an image without ground truth
        every proposal is.
      delta_std: the deltas are divided by these.
      add_ground_truth: whether the ground truth boxes are among the RoIs sampled from, as in py-faster-rcnn.

    Returns:
      RoiTargets, positives first; no gradient flows into the boxes.
    """
    low, high = negative_iou
    boxes = lax.stop_gradient(jnp.concatenate([proposals.boxes, gt_boxes]))  # [P+G,4]
    valid = jnp.concatenate([proposals.valid, gt_valid & add_ground_truth])
    matches = match(
        pairwise_iou(boxes, gt_boxes),
        valid,
        gt_valid,
        positive_iou=positive_iou,
        negative_iou=high,
        force_best=False,
    )
    too_far = (matches.label == 0) & (matches.iou < low) & jnp.any(gt_valid)
    label = jnp.where(too_far, -1, matches.label)
    max_positive = int(batch_size * positive_fraction)
    index, sampled = sample(key, label, valid, size=batch_size, max_positive=max_positive)

    rois = jnp.where(sampled[:, None], boxes[index], 0.0)
    positive = sampled & (label[index] == 1)
    gt_index = matches.gt_index[index]
    deltas = encode(gt_boxes[gt_index], rois) / jnp.asarray(delta_std, jnp.float32)[None, :]
    return RoiTargets(
        boxes=rois,
        label=jnp.where(positive, gt_labels[gt_index], 0),
        deltas=jnp.where(positive[:, None], deltas, 0.0),
        valid=sampled,
    )
