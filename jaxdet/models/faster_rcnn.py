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
import numpy as np

from jaxdet.checks import bind
from jaxdet.models.detector import Detector, image_mean, keys_of
from jaxdet.models.roi_pooling import roi_pooling_of
from jaxdet.models.rpn import region_proposal_network
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops import targets
from jaxdet.ops.detect import detect
from jaxdet.ops.losses import roi_loss
from jaxdet.ops.propose import propose


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
    std = np.asarray(delta_std, np.float32)
    assign_rois = bind(targets.roi_targets, roi_targets, section="roi_targets", delta_std=tuple(delta_std))
    limit = {"max_log_scale": max_log_scale}
    propose_train = bind(propose, train_proposals, section="train_proposals", **limit)
    propose_test = bind(propose, test_proposals, section="test_proposals", **limit)
    detect_boxes = bind(detect, detections, section="detections", **limit)
    pool = roi_pooling_of(net, roi_pooling)
    rpn = region_proposal_network(
        net,
        base_anchors,
        rpn_targets=rpn_targets,
        min_proposal_size=min_proposal_size,
        rpn_sigma=rpn_sigma,
        rpn_box_weight=rpn_box_weight,
        rpn_box_normaliser=rpn_box_normaliser,
        cross_boundary_anchors=cross_boundary_anchors,
    )

    def loss(params, batch, key):
        features, size = net.features(params, net.normalise(batch.image), batch.image_size)  # 1
        anchors = rpn.output(params, features, size)  # 2, 3
        keys = keys_of(key, batch)
        objectness, rpn_box = rpn.losses(anchors, batch, keys[:, 0])  # 4, 9
        proposals = rpn.propose(anchors, batch, propose_train)  # 5
        rois = jax.vmap(assign_rois)(keys[:, 1], proposals, batch.gt_boxes, batch.gt_labels, batch.gt_valid)  # 6
        pooled = pool(features, size, rois.boxes)  # 7
        class_logits, box_deltas = net.head(params, pooled, keys[:, 2])  # 8
        classes, boxes = jax.vmap(functools.partial(roi_loss, sigma=roi_sigma))(class_logits, box_deltas, rois)  # 9
        metrics = {
            "objectness_loss": image_mean(objectness, batch),
            "rpn_box_loss": image_mean(rpn_box, batch),
            "class_loss": image_mean(classes, batch),
            "box_loss": image_mean(boxes, batch),
        }
        return sum(metrics.values()), metrics

    def predict(params, batch):
        features, size = net.features(params, net.normalise(batch.image), batch.image_size)  # 1
        proposals = rpn.propose(rpn.output(params, features, size), batch, propose_test)  # 2, 3, 5
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
