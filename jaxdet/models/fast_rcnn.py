"""Fast R-CNN (Girshick 2015): detections from given proposals over shared convolutional features.

The steps have Faster R-CNN's numbers: 1 features, 6 RoI targets, 7 RoI pooling, 8 head, 9 losses or detections. The
proposals are the batch's; who made them, Selective Search or a region proposal network, is unknown here.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.checks import bind
from jaxdet.models.detector import Detector, image_mean, keys_of
from jaxdet.models.roi_pooling import roi_pooling_of
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops import targets
from jaxdet.ops.detect import detect
from jaxdet.ops.losses import roi_loss
from jaxdet.types import Batch, Params, Proposals, RoiTargets

NORMALISATION = "bbox_targets"  # the parameters that no gradient changes: mean and std of the deltas


def fast_rcnn(
    net: RegionNet,
    *,
    num_classes: int,
    roi_targets: Mapping[str, Any],
    detections: Mapping[str, Any],
    roi_sigma: float = 1.0,
    roi_pooling: str = "max_pool",
    max_log_scale: float | None = None,
) -> Detector:
    """Fast R-CNN over `net`, whose region proposal network, if it has one, is not used.

    The head learns deltas normalised by class (2.3: zero mean, unit variance): (deltas - mean) / std. Mean and std
    f32[K+1,4] are parameters under NORMALISATION, 0 and 1 from `init`; with_normalisation puts measured ones there.

    Args:
      roi_targets: keyword arguments of ops roi_targets; the deltas' std is not among them.
      detections: keyword arguments of ops detect.
      roi_sigma, roi_pooling, max_log_scale: as in faster_rcnn.

    Raises InputError for an argument that an op does not know.
    """
    assign_rois = bind(targets.roi_targets, roi_targets, section="roi_targets", delta_std=(1.0, 1.0, 1.0, 1.0))
    detect_boxes = bind(detect, detections, section="detections", max_log_scale=max_log_scale)
    pool = roi_pooling_of(net, roi_pooling)

    def init(key):
        shape = (num_classes + 1, 4)
        return with_normalisation(net.init(key), np.zeros(shape, np.float32), np.ones(shape, np.float32))

    def loss(params, batch, key):
        features, size = net.features(params, net.normalise(batch.image), batch.image_size)  # 1
        keys = keys_of(key, batch)
        rois = jax.vmap(assign_rois)(keys[:, 1], given(batch), batch.gt_boxes, batch.gt_labels, batch.gt_valid)  # 6
        rois = _normalised(rois, **params[NORMALISATION])
        pooled = pool(features, size, rois.boxes)  # 7
        class_logits, box_deltas = net.head(params, pooled, keys[:, 2])  # 8
        classes, boxes = jax.vmap(functools.partial(roi_loss, sigma=roi_sigma))(class_logits, box_deltas, rois)  # 9
        metrics = {"class_loss": image_mean(classes, batch), "box_loss": image_mean(boxes, batch)}
        return sum(metrics.values()), metrics

    def predict(params, batch):
        features, size = net.features(params, net.normalise(batch.image), batch.image_size)  # 1
        proposals = given(batch)
        pooled = pool(features, size, proposals.boxes)  # 7
        class_logits, box_deltas = net.head(params, pooled, None)  # 8
        mean, std = params[NORMALISATION]["mean"], params[NORMALISATION]["std"]
        found = jax.vmap(detect_boxes)(
            jax.nn.softmax(class_logits),
            box_deltas * std[None, None] + mean[None, None],
            proposals.boxes,
            proposals.valid & batch.image_valid[:, None],
            batch.image_size,
        )  # 9
        return dataclasses.replace(found, boxes=found.boxes / batch.scale[:, None, None])

    return Detector(init=init, loss=loss, predict=predict)


def given(batch: Batch) -> Proposals:
    """The batch's proposals [B,P]; their scores were left in the file, only their order matters."""
    return Proposals(
        boxes=batch.proposals,
        scores=jnp.zeros(batch.proposals.shape[:2], jnp.float32),
        valid=batch.proposals_valid,
    )


def with_normalisation(params: Params, mean: np.ndarray, std: np.ndarray) -> Params:
    """The parameters with the mean and std f32[K+1,4] by which the deltas of each class are normalised."""
    return params | {NORMALISATION: {"mean": jnp.asarray(mean), "std": jnp.asarray(std)}}


def fold_normalisation(params: Params, delta_std: tuple[float, float, float, float]) -> Params:
    """bbox_pred for deltas normalised by the one `delta_std`, as faster_rcnn's are; NORMALISATION is left out.

    py-faster-rcnn does the same when it writes a snapshot: W' = W std / delta_std, b' = (b std + mean) / delta_std.
    """
    mean, std = params[NORMALISATION]["mean"], params[NORMALISATION]["std"]
    divisor = jnp.asarray(delta_std, jnp.float32)[None, :]
    kernel, bias = params["bbox_pred"]["kernel"], params["bbox_pred"]["bias"]
    folded = {
        "kernel": kernel * (std / divisor).reshape(1, -1),
        "bias": (bias * std.reshape(-1) + mean.reshape(-1)) / jnp.tile(divisor[0], len(std)),
    }
    return {name: layer for name, layer in params.items() if name != NORMALISATION} | {"bbox_pred": folded}


def _normalised(rois: RoiTargets, mean: jax.Array, std: jax.Array) -> RoiTargets:
    """The deltas of the positive RoIs [B,R,4] minus the mean of their class, over its std."""
    deltas = (rois.deltas - mean[rois.label]) / std[rois.label]
    return dataclasses.replace(rois, deltas=jnp.where((rois.label > 0)[..., None], deltas, 0.0))
