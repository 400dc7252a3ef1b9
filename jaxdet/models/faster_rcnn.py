"""Faster R-CNN (Ren, He, Girshick & Sun 2015): proposals and detections from one set of convolutional features.

`predict` stands under `loss` with the same numbers at the same steps: 1 features, 2 region proposal network,
3 anchors, 4 its targets, 5 proposals, 6 RoI targets, 7 RoI pooling, 8 head, 9 losses or detections. The ops see one
image; the batch axis is added here.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.checks import InputError, bind, nearest
from jaxdet.models.detector import Detector
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops import targets
from jaxdet.ops.anchors import anchor_valid, grid_anchors
from jaxdet.ops.boxes import inside
from jaxdet.ops.detect import detect
from jaxdet.ops.losses import roi_loss, rpn_loss
from jaxdet.ops.propose import propose
from jaxdet.ops.roi_align import roi_align
from jaxdet.ops.roi_pool import roi_max_pool
from jaxdet.types import Batch

POOLINGS = ("max_pool", "align")
NORMALISERS = ("sampled", "locations")


def faster_rcnn(
    net: RegionNet,
    base_anchors: np.ndarray,
    *,
    rpn_targets: Mapping[str, Any],
    roi_targets: Mapping[str, Any],
    train_proposals: Mapping[str, Any],
    test_proposals: Mapping[str, Any],
    detections: Mapping[str, Any],
    min_proposal_size: float = 16.0,
    rpn_sigma: float = 3.0,
    rpn_box_weight: float = 1.0,
    rpn_box_normaliser: str = "sampled",
    roi_sigma: float = 1.0,
    roi_pooling: str = "max_pool",
    delta_std: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2),
    max_log_scale: float | None = None,
    cross_boundary_anchors: bool = False,
) -> Detector:
    """Faster R-CNN over `net`, trained jointly (approximate joint training, 3.2: no gradient through the proposals).

    Args:
      base_anchors: f32[A,4] the anchors of the cell at the origin.
      rpn_targets, roi_targets: keyword arguments of the ops of these names.
      train_proposals, test_proposals: keyword arguments of ops propose.
      detections: keyword arguments of ops detect.
      min_proposal_size: sides below this are not proposed, in pixels of the original image.
      rpn_sigma, roi_sigma: smooth L1 turns linear at 1 / sigma^2.
      rpn_box_weight, rpn_box_normaliser: see ops rpn_loss; 1 and 'sampled' (py-faster-rcnn) or 10 and 'locations'.
      roi_pooling: 'max_pool' (Fast R-CNN, 2.1) or 'align' (torchvision's RoIAlign, 2x2 samples, not aligned).
      delta_std: the head learns deltas divided by this.
      max_log_scale: upper limit of dw and dh when boxes are decoded; None as in the paper.
      cross_boundary_anchors: whether anchors crossing the image's border are trained on; the paper ignores them (3.3).

    Raises InputError for an argument that an op does not know.
    """
    if roi_pooling not in POOLINGS:
        raise InputError(f"roi_pooling: no {roi_pooling!r}; {nearest(roi_pooling, POOLINGS)}")
    if rpn_box_normaliser not in NORMALISERS:
        raise InputError(f"rpn_box_normaliser: no {rpn_box_normaliser!r}; {nearest(rpn_box_normaliser, NORMALISERS)}")
    std = np.asarray(delta_std, np.float32)
    assign_anchors = bind(targets.rpn_targets, rpn_targets, section="rpn_targets")
    assign_rois = bind(targets.roi_targets, roi_targets, section="roi_targets", delta_std=tuple(delta_std))
    limit = {"max_log_scale": max_log_scale}
    propose_train = bind(propose, train_proposals, section="train_proposals", **limit)
    propose_test = bind(propose, test_proposals, section="test_proposals", **limit)
    rpn_losses = functools.partial(
        rpn_loss, sigma=rpn_sigma, box_weight=rpn_box_weight, box_normaliser=rpn_box_normaliser
    )
    detect_boxes = bind(detect, detections, section="detections", **limit)

    def region_proposals(params, batch):
        """Steps 1 to 3: features, the RPN's answer for every anchor, and which anchors lie on the image."""
        features, size = net.features(params, net.normalise(batch.image), batch.image_size)
        logits, deltas = net.rpn(params, features)
        grid = features.shape[1:3]
        anchors = jnp.asarray(grid_anchors(base_anchors, grid, stride=net.stride))
        valid = jax.vmap(lambda s: anchor_valid(grid, s, num_anchors=len(base_anchors)))(size)
        return features, size, logits, deltas, anchors, valid

    def pool(features, size, boxes):
        """Step 7: [B,R,s,s,C]."""
        shape = {"output_size": net.pool_size, "stride": net.stride}
        if roi_pooling == "max_pool":
            return jax.vmap(lambda f, b: roi_max_pool(f, b, **shape))(features, boxes)
        return jax.vmap(lambda f, s, b: roi_align(f, b, feature_size=s, aligned=False, **shape))(features, size, boxes)

    def loss(params, batch, key):
        features, size, logits, deltas, anchors, valid = region_proposals(params, batch)  # 1, 2, 3
        keys = jax.vmap(lambda image: jax.random.split(jax.random.fold_in(key, image), 3))(batch.image_id)
        rpn_keys, roi_keys, dropout_keys = keys[:, 0], keys[:, 1], keys[:, 2]

        def targets_of(rpn_key, roi_key, logits, deltas, valid, size, scale, gt_boxes, gt_labels, gt_valid):
            trained = valid if cross_boundary_anchors else valid & inside(anchors, size)
            anchor_targets = assign_anchors(rpn_key, anchors, trained, gt_boxes, gt_valid)  # 4
            objectness = logits[:, 1] - logits[:, 0]
            proposals = propose_train(objectness, deltas, anchors, valid, size, min_proposal_size * scale)  # 5
            return anchor_targets, assign_rois(roi_key, proposals, gt_boxes, gt_labels, gt_valid)  # 6

        anchor_targets, rois = jax.vmap(targets_of)(
            rpn_keys, roi_keys, logits, deltas, valid, batch.image_size, batch.scale,
            batch.gt_boxes, batch.gt_labels, batch.gt_valid,
        )  # fmt: skip
        pooled = pool(features, size, rois.boxes)  # 7
        class_logits, box_deltas = net.head(params, pooled, dropout_keys)  # 8
        objectness, rpn_box = jax.vmap(rpn_losses)(logits, deltas, anchor_targets, size[:, 0] * size[:, 1])  # 9
        classes, boxes = jax.vmap(lambda *a: roi_loss(*a, sigma=roi_sigma))(class_logits, box_deltas, rois)
        metrics = {
            "objectness_loss": _image_mean(objectness, batch),
            "rpn_box_loss": _image_mean(rpn_box, batch),
            "class_loss": _image_mean(classes, batch),
            "box_loss": _image_mean(boxes, batch),
        }
        return sum(metrics.values()), metrics

    def predict(params, batch):
        features, size, logits, deltas, anchors, valid = region_proposals(params, batch)  # 1, 2, 3

        def proposals_of(logits, deltas, valid, size, scale):
            objectness = logits[:, 1] - logits[:, 0]
            return propose_test(objectness, deltas, anchors, valid, size, min_proposal_size * scale)  # 5

        proposals = jax.vmap(proposals_of)(logits, deltas, valid, batch.image_size, batch.scale)
        pooled = pool(features, size, proposals.boxes)  # 7
        class_logits, box_deltas = net.head(params, pooled, None)  # 8
        found = jax.vmap(detect_boxes)(
            jax.nn.softmax(class_logits),
            box_deltas * std.reshape(1, 1, 1, 4),
            proposals.boxes,
            proposals.valid & batch.image_valid[:, None],
            batch.image_size,
        )  # 9
        return dataclasses.replace(found, boxes=found.boxes / batch.scale[:, None, None])

    return Detector(init=net.init, loss=loss, predict=predict)


def _image_mean(losses: jax.Array, batch: Batch) -> jax.Array:
    """The mean of losses f32[B] over the valid images."""
    valid = batch.image_valid.astype(jnp.float32)
    return jnp.sum(losses * valid) / jnp.maximum(jnp.sum(valid), 1.0)
