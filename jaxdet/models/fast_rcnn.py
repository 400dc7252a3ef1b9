"""Fast R-CNN (Girshick 2015): detections from the batch's proposals over shared convolutional features.

The steps have Faster R-CNN's numbers: 1 features, 6 RoI targets, 7 RoI pooling, 8 head, 9 losses or detections. The
proposals may come from Selective Search or from a region proposal network; nothing here depends on it.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.checks import bind, one_of
from jaxdet.models.detector import Detector, image_mean, per_image_keys
from jaxdet.models.roi_pooling import make_roi_pooling
from jaxdet.models.svm_scores import SCORINGS, svm_scores
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops import targets as op_targets
from jaxdet.ops.detect import detect
from jaxdet.ops.losses import roi_loss
from jaxdet.ops.take_rows import take_rows
from jaxdet.types import Batch, Detections, Metrics, Params, Proposals, RoiTargets

TARGET_STATISTICS = "bbox_targets"  # parameters that are never trained: mean and std of the deltas per class


def fast_rcnn(
    net: RegionNet,
    *,
    num_classes: int,
    roi_targets: Mapping[str, Any],
    detections: Mapping[str, Any],
    sigma: float = 1.0,
    box_weight: float = 1.0,
    roi_pooling: str = "max_pool",
    max_log_scale: float | None = None,
    scoring: str = "softmax",
) -> Detector:
    """Return Fast R-CNN; a region proposal network in `net` is not used.

    The head learns deltas with zero mean and unit variance per class (2.3): (deltas - mean) / std. Mean and std
    f32[K+1,4] are parameters under TARGET_STATISTICS. `init` sets them to 0 and 1, with_target_statistics replaces them
    by measured ones.

    Args:
      net: the backbone and the head.
      num_classes: K, without the background.
      roi_targets: keyword arguments of ops roi_targets, without delta_std.
      detections: keyword arguments of ops detect, without max_log_scale.
      sigma: as in faster_rcnn.
      box_weight: as in faster_rcnn.
      roi_pooling: as in faster_rcnn.
      max_log_scale: as in faster_rcnn.
      scoring: 'softmax', or 'svm' for the margins of SVMs that are fitted afterwards, params["svm"] (5.4).

    Raises:
      InputError: an argument that an op does not take, or another roi_pooling or scoring. `predict` raises it where the
        SVMs are missing.
    """
    one_of("head.scoring", scoring, SCORINGS)
    unit_std = (1.0, 1.0, 1.0, 1.0)
    assign_rois = bind(op_targets.roi_targets, roi_targets, section="head.roi_targets", delta_std=unit_std)
    detect_boxes = bind(detect, detections, section="head.detections", max_log_scale=max_log_scale)
    pool = make_roi_pooling(net, roi_pooling)
    roi_losses = jax.vmap(functools.partial(roi_loss, sigma=sigma, box_weight=box_weight))

    def init(key: jax.Array) -> Params:
        shape = (num_classes + 1, 4)
        return with_target_statistics(net.init(key), np.zeros(shape, np.float32), np.ones(shape, np.float32))

    def loss(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
        features, size = net.features(params, net.preprocess(batch.image), batch.image_size)  # 1
        keys = per_image_keys(key, batch)
        proposals = batch_proposals(batch)
        rois = jax.vmap(assign_rois)(keys[:, 1], proposals, batch.gt_boxes, batch.gt_labels, batch.gt_valid)  # 6
        rois = _normalise_targets(rois, **params[TARGET_STATISTICS])
        pooled = pool(features, size, rois.boxes)  # 7
        class_logits, box_deltas = net.head(params, pooled, keys[:, 2])  # 8
        classes, boxes = roi_losses(class_logits, box_deltas, rois)  # 9
        metrics = {"class_loss": image_mean(classes, batch), "box_loss": image_mean(boxes, batch)}
        return sum(metrics.values(), start=jnp.zeros(())), metrics

    def predict(params: Params, batch: Batch) -> Detections:
        features, size = net.features(params, net.preprocess(batch.image), batch.image_size)  # 1
        proposals = batch_proposals(batch)
        pooled = pool(features, size, proposals.boxes)  # 7
        fc7 = net.fc7(params, pooled, None)  # 8
        class_logits, box_deltas = net.outputs(params, fc7)
        scores = svm_scores(params, fc7.astype(jnp.float32)) if scoring == "svm" else jax.nn.softmax(class_logits)
        mean, std = params[TARGET_STATISTICS]["mean"], params[TARGET_STATISTICS]["std"]
        detected = jax.vmap(detect_boxes)(
            scores,
            box_deltas * std[None, None] + mean[None, None],
            proposals.boxes,
            proposals.valid & batch.image_valid[:, None],
            batch.image_size,
        )  # 9
        return dataclasses.replace(detected, boxes=detected.boxes / batch.scale[:, None, None])

    return Detector(init=init, loss=loss, predict=predict)


def fast_rcnn_features(net: RegionNet, *, roi_pooling: str) -> Callable[[Params, Batch], jax.Array]:
    """Return the pure function (params, batch) -> fc7 f32[B,P,F] of the batch's proposals, to which SVMs are fitted.

    Without dropout; 0 where a proposal is invalid. `roi_pooling` is that of `fast_rcnn`.
    """
    pool = make_roi_pooling(net, roi_pooling)

    def features(params: Params, batch: Batch) -> jax.Array:
        maps, size = net.features(params, net.preprocess(batch.image), batch.image_size)
        fc7 = net.fc7(params, pool(maps, size, batch.proposals), None)
        return jnp.where(batch.proposals_valid[..., None], fc7.astype(jnp.float32), 0.0)

    return features


def batch_proposals(batch: Batch) -> Proposals:
    """Return the batch's proposals [B,P]; their scores, which batches do not carry, are 0."""
    return Proposals(
        boxes=batch.proposals,
        scores=jnp.zeros(batch.proposals.shape[:2], jnp.float32),
        valid=batch.proposals_valid,
    )


def with_target_statistics(params: Params, mean: np.ndarray, std: np.ndarray) -> Params:
    """Return the parameters with mean and std f32[K+1,4], by which the deltas are normalised per class."""
    return params | {TARGET_STATISTICS: {"mean": jnp.asarray(mean), "std": jnp.asarray(std)}}


def fold_target_statistics(params: Params, delta_std: tuple[float, float, float, float]) -> Params:
    """Return the parameters that faster_rcnn takes: TARGET_STATISTICS folded into bbox_pred and removed.

    The new bbox_pred predicts deltas divided by the one `delta_std` of all classes. py-faster-rcnn does the same when
    it writes a snapshot: W' = W std / delta_std, b' = (b std + mean) / delta_std.
    """
    mean, std = params[TARGET_STATISTICS]["mean"], params[TARGET_STATISTICS]["std"]
    divisor = jnp.asarray(delta_std, jnp.float32)[None, :]
    kernel, bias = params["bbox_pred"]["kernel"], params["bbox_pred"]["bias"]
    folded = {
        "kernel": kernel * (std / divisor).reshape(1, -1),
        "bias": (bias * std.reshape(-1) + mean.reshape(-1)) / jnp.tile(divisor[0], len(std)),
    }
    return {name: layer for name, layer in params.items() if name != TARGET_STATISTICS} | {"bbox_pred": folded}


def _normalise_targets(rois: RoiTargets, mean: jax.Array, std: jax.Array) -> RoiTargets:
    """Return RoIs whose deltas [B,R,4] are normalised by mean and std f32[K+1,4] of their class; 0 unless positive."""
    own = jax.vmap(take_rows, in_axes=(None, 0))
    deltas = (rois.deltas - own(mean, rois.label)) / own(std, rois.label)
    return dataclasses.replace(rois, deltas=jnp.where((rois.label > 0)[..., None], deltas, 0.0))
