"""Faster R-CNN (Ren, He, Girshick & Sun 2015): proposals and detections from one set of convolutional features.

`predict` is below `loss`, with the same numbers at the same steps: 1 features, 2 region proposal network,
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

from jaxdet.checks import bind
from jaxdet.models.detector import Detector, image_mean, per_image_keys
from jaxdet.models.roi_pooling import make_roi_pooling
from jaxdet.models.rpn import Rpn
from jaxdet.nets.fpn_net import FpnNet
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops import targets as op_targets
from jaxdet.ops.boxes import clip
from jaxdet.ops.detect import detect
from jaxdet.ops.losses import roi_loss
from jaxdet.types import Batch, Detections, Metrics, Params


def faster_rcnn(
    net: RegionNet | FpnNet,
    rpn: Rpn,
    *,
    roi_targets: Mapping[str, Any],
    detections: Mapping[str, Any],
    sigma: float = 1.0,
    box_weight: float = 1.0,
    roi_pooling: str = "max_pool",
    delta_std: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2),
    max_log_scale: float | None = None,
    inclusive_boxes: bool = False,
) -> Detector:
    """Return Faster R-CNN, trained jointly (approximate joint training, 3.2: no gradient through the proposals).

    Args:
      net: the backbone and both heads.
      rpn: the region proposal network over the same net.
      roi_targets: keyword arguments of ops roi_targets, without delta_std.
      detections: keyword arguments of ops detect, without max_log_scale.
      sigma: the head's smooth L1 turns linear at 1 / sigma^2.
      box_weight: weight of the head's box loss, lambda of Fast R-CNN's eq. 1.
      roi_pooling: 'max_pool' (Fast R-CNN, 2.1) or 'align' (torchvision's RoIAlign, 2x2 samples, not aligned).
      delta_std: the head learns deltas divided by this.
      max_log_scale: upper limit of dw and dh when the detections are decoded; None as in the paper.
      inclusive_boxes: the parameters are of boxes that end at the corner of their last pixel, as in
        simple-faster-rcnn-pytorch: one original pixel is added to x2 and y2 of detections, and taken off ground truth.

    Raises:
      InputError: an argument that an op does not take, or another roi_pooling.
    """
    std = np.asarray(delta_std, np.float32)
    assign_rois = bind(op_targets.roi_targets, roi_targets, section="head.roi_targets", delta_std=tuple(delta_std))
    detect_boxes = bind(detect, detections, section="head.detections", max_log_scale=max_log_scale)
    pool = make_roi_pooling(net, roi_pooling)
    roi_losses = jax.vmap(functools.partial(roi_loss, sigma=sigma, box_weight=box_weight))

    def loss(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
        batch = _without_last_pixel(batch) if inclusive_boxes else batch
        features, size = net.features(params, net.preprocess(batch.image), batch.image_size)  # 1
        rpn_output = rpn.output(params, features, size)  # 2, 3
        keys = per_image_keys(key, batch)
        objectness, rpn_box = rpn.losses(rpn_output, batch, keys[:, 0])  # 4, 9
        proposals = rpn.propose_train(rpn_output, batch)  # 5
        rois = jax.vmap(assign_rois)(keys[:, 1], proposals, batch.gt_boxes, batch.gt_labels, batch.gt_valid)  # 6
        pooled = pool(features, size, rois.boxes)  # 7
        class_logits, box_deltas = net.head(params, pooled, keys[:, 2])  # 8
        classes, boxes = roi_losses(class_logits, box_deltas, rois)  # 9
        metrics = {
            "objectness_loss": image_mean(objectness, batch),
            "rpn_box_loss": image_mean(rpn_box, batch),
            "class_loss": image_mean(classes, batch),
            "box_loss": image_mean(boxes, batch),
        }
        return sum(metrics.values(), start=jnp.zeros(())), metrics

    def predict(params: Params, batch: Batch) -> Detections:
        features, size = net.features(params, net.preprocess(batch.image), batch.image_size)  # 1
        proposals = rpn.propose_test(rpn.output(params, features, size), batch)  # 2, 3, 5
        pooled = pool(features, size, proposals.boxes)  # 7
        class_logits, box_deltas = net.head(params, pooled, None)  # 8
        detected = jax.vmap(detect_boxes)(
            jax.nn.softmax(class_logits),
            box_deltas * std.reshape(1, 1, 1, 4),
            proposals.boxes,
            proposals.valid & batch.image_valid[:, None],
            batch.image_size,
        )  # 9
        boxes = _with_last_pixel(detected.boxes, batch) if inclusive_boxes else detected.boxes
        return dataclasses.replace(detected, boxes=boxes / batch.scale[:, None, None])

    return Detector(init=net.init, loss=loss, predict=predict)


def _last_pixel(batch: Batch) -> jax.Array:
    """Return f32[B,1,4]: one original pixel at x2 and y2, in pixels of the resized image."""
    return batch.scale[:, None, None] * jnp.asarray([0.0, 0.0, 1.0, 1.0]).reshape(1, 1, 4)


def _with_last_pixel(boxes: jax.Array, batch: Batch) -> jax.Array:
    return jax.vmap(clip)(boxes + _last_pixel(batch), batch.image_size)


def _without_last_pixel(batch: Batch) -> Batch:
    """Return the batch with smaller ground truth; a box of one pixel becomes empty, so that no anchor matches it."""
    gt_boxes = jnp.where(batch.gt_valid[..., None], batch.gt_boxes - _last_pixel(batch), batch.gt_boxes)
    return dataclasses.replace(batch, gt_boxes=gt_boxes)
