"""R-CNN (Girshick, Donahue, Darrell & Malik 2014): every proposal is warped to a square and classified on its own.

`loss` fine-tunes the net. Then one SVM and one box regressor per class are fitted on the host to the outputs of
`rcnn_features`; they end as arrays in params, so `predict` is as pure as that of the other systems.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.checks import InputError, at_least, bind, one_of
from jaxdet.models.detector import Detector, image_mean, per_image_keys
from jaxdet.models.svm_scores import EXACT, SCORINGS, svm_scores
from jaxdet.nets.crop_net import CropNet
from jaxdet.ops import targets as op_targets
from jaxdet.ops.detect import detect
from jaxdet.ops.warp import warp
from jaxdet.types import Batch, Detections, Metrics, Params, Proposals, WindowBatch

Read = Callable[[jax.Array, jax.Array], Any]  # (pool5 f32[R,h,w,C], fc7 f32[R,F]) -> pytree of arrays [R,...]


def rcnn(
    net: CropNet,
    *,
    roi_targets: Mapping[str, Any],
    detections: Mapping[str, Any],
    context: int = 16,
    chunk: int = 64,
    scoring: str = "svm",
) -> Detector:
    """Return R-CNN over the network of its crops.

    `loss` is the fine-tuning (2.3, appendix B): a softmax over K+1 classes on warped proposals and ground-truth boxes,
    a quarter of them positive, each mirrored with probability 0.5. The paper samples 32 positives and 96 negatives from
    the whole data set, with replacement: those come as a WindowBatch (data.windows). From another batch they are
    sampled per image, without replacement: 16 images of 2 + 6 make the same 128.

    `predict` moves the proposals of each class by params["bbox_ridge"] if present (appendix C), then suppresses within
    the class. The batch must hold proposals.

    Args:
      net: the network of the crops.
      roi_targets: keyword arguments of ops roi_targets; its deltas are not used.
      detections: keyword arguments of ops detect.
      context: see ops warp.
      chunk: proposals per image that pass the net at a time; memory grows with images x chunk.
      scoring: 'svm' needs params["svm"]; 'softmax' uses the fine-tuned classifier, as the paper compares (appendix B).

    Raises:
      InputError: an argument that an op does not take, or a context or chunk that leaves nothing. `predict` raises it
        where the SVMs are missing, `loss` and `predict` where the batch has no slots for proposals.
    """
    one_of("head.scoring", scoring, SCORINGS)
    at_least("head.chunk", chunk, 1, "64 is usual")
    if not 0 <= 2 * context < net.input_size:
        most = (net.input_size - 1) // 2
        raise InputError(f"head.context must be in 0..{most} pixels for this net, got {context}; 16 is the paper's.")
    unit_std = (1.0, 1.0, 1.0, 1.0)
    assign_rois = bind(op_targets.roi_targets, roi_targets, section="head.roi_targets", delta_std=unit_std)
    detect_boxes = bind(detect, detections, section="head.detections")

    def loss(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
        _check_proposals(batch)
        mirror_keys, roi_keys, dropout_keys = jnp.moveaxis(per_image_keys(key, batch), 1, 0)

        # Sample RoIs, unless each row has one already.
        def sample_rois(key, boxes, valid, gt_boxes, gt_labels, gt_valid):
            proposals = Proposals(boxes=boxes, scores=jnp.zeros(boxes.shape[:1]), valid=valid)
            rois = assign_rois(key, proposals, gt_boxes, gt_labels, gt_valid)
            return rois.boxes, rois.label, rois.valid

        if isinstance(batch, WindowBatch):
            boxes, label, valid = batch.proposals, batch.labels[:, None], batch.proposals_valid
        else:
            boxes, label, valid = jax.vmap(sample_rois)(
                roi_keys, batch.proposals, batch.proposals_valid, batch.gt_boxes, batch.gt_labels, batch.gt_valid
            )  # [B,R,...]

        # Warp and mirror them.
        def mirrored_crops(key, image, image_size, boxes):
            crops = warp(image, image_size, boxes, size=net.input_size, context=context)
            mirrored = jax.random.bernoulli(key, 0.5, boxes.shape[:1])
            return jnp.where(mirrored[:, None, None, None], crops[:, :, ::-1], crops)

        crops = jax.vmap(mirrored_crops)(mirror_keys, net.preprocess(batch.image), batch.image_size, boxes)

        # Classify.
        pool5 = _unflatten(net.conv(params, _flatten(crops)), like=crops)
        fc7 = jax.vmap(net.fc7, in_axes=(None, 0, 0))(params, pool5, dropout_keys)
        log_probability = jax.nn.log_softmax(net.classify(params, fc7))  # [B,R,K+1]

        # Mean over the valid RoIs of each image.
        errors = -jnp.take_along_axis(log_probability, label[..., None], axis=-1)[..., 0]
        errors = jnp.sum(jnp.where(valid, errors, 0.0), axis=1)
        class_loss = image_mean(errors / jnp.maximum(jnp.sum(valid, axis=1, dtype=jnp.float32), 1.0), batch)
        return class_loss, {"class_loss": class_loss}

    def predict(params: Params, batch: Batch) -> Detections:
        _check_proposals(batch)

        def score(pool5, fc7):
            scores = _scores(net, params, fc7, scoring)
            return scores, _deltas(params, pool5, scores)

        valid = batch.proposals_valid & batch.image_valid[:, None]
        sizes = {"context": context, "chunk": chunk}
        scores, deltas = _over_crops(net, params, batch, batch.proposals, valid, score, **sizes)
        detected = jax.vmap(detect_boxes)(scores, deltas, batch.proposals, valid, batch.image_size)
        return dataclasses.replace(detected, boxes=detected.boxes / batch.scale[:, None, None])

    return Detector(init=net.init, loss=loss, predict=predict)


def rcnn_features(
    net: CropNet, *, context: int = 16, chunk: int = 64
) -> Callable[[Params, Batch, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """Return the pure function (params, batch, boxes f32[B,R,4], valid bool[B,R]) -> (pool5, fc7) for the linear stage.

    The boxes, in resized pixels as batch.proposals, may be proposals or ground truth. pool5 f32[B,R,h,w,C] and fc7
    f32[B,R,F] are without dropout, 0 where a box is invalid. `context` and `chunk` are those of `rcnn`.
    """

    def features(params: Params, batch: Batch, boxes: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
        def read(pool5, fc7):
            return pool5, fc7

        return _over_crops(net, params, batch, boxes, valid, read, context=context, chunk=chunk)

    return features


def _over_crops(
    net: CropNet,
    params: Params,
    batch: Batch,
    boxes: jax.Array,
    valid: jax.Array,
    read: Read,
    *,
    context: int,
    chunk: int,
) -> Any:
    """Return read(pool5, fc7) of boxes f32[B,R,4] as arrays [B,R,...], 0 where invalid, computed chunk by chunk."""
    images, count = valid.shape
    chunk = min(chunk, count)
    missing = -count % chunk

    def in_chunks(x):
        """[B,R,...] -> [chunks,B,chunk,...]"""
        x = jnp.pad(x, [(0, 0), (0, missing)] + [(0, 0)] * (x.ndim - 2))
        return jnp.swapaxes(x.reshape(images, -1, chunk, *x.shape[2:]), 0, 1)

    preprocessed = net.preprocess(batch.image)

    def run(boxes):
        crops = jax.vmap(lambda *a: warp(*a, size=net.input_size, context=context))(
            preprocessed, batch.image_size, boxes
        )
        pool5 = net.conv(params, _flatten(crops))
        return jax.tree.map(lambda x: _unflatten(x, like=crops), read(pool5, net.fc7(params, pool5, None)))

    def run_chunk(boxes_and_valid):
        boxes, valid = boxes_and_valid
        empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(run, boxes))
        # Valid boxes come first, so whole chunks of padding are frequent; they cost nothing.
        out = lax.cond(jnp.any(valid), run, lambda _: empty, boxes)
        return jax.tree.map(lambda x: jnp.where(valid.reshape(*valid.shape, *(1,) * (x.ndim - 2)), x, 0.0), out)

    out = lax.map(run_chunk, (in_chunks(boxes), in_chunks(valid)))
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1).reshape(images, -1, *x.shape[3:])[:, :count], out)


def _flatten(x: jax.Array) -> jax.Array:
    """[B,R,...] -> [B*R,...]"""
    return x.reshape(-1, *x.shape[2:])


def _unflatten(x: jax.Array, *, like: jax.Array) -> jax.Array:
    """[B*R,...] -> [B,R,...], with the B and R of `like`"""
    return x.reshape(*like.shape[:2], *x.shape[1:])


def _scores(net: CropNet, params: Params, fc7: jax.Array, scoring: str) -> jax.Array:
    """Return f32[R,K+1] for crops with fc7 f32[R,F]; ops detect does not read the first column, the background's."""
    if scoring == "softmax":
        return jax.nn.softmax(net.classify(params, fc7))
    return svm_scores(params, fc7)


def _deltas(params: Params, pool5: jax.Array, scores: jax.Array) -> jax.Array:
    """Return the regressors' f32[R,K+1,4] for crops with pool5 [R,h,w,C] and scores [R,K+1]; 0 without regressors."""
    if "bbox_ridge" not in params:
        return jnp.zeros((*scores.shape, 4))
    flat = pool5.reshape(pool5.shape[0], -1)
    deltas = jnp.einsum("rp,kpd->rkd", flat, params["bbox_ridge"]["kernel"], precision=EXACT)
    deltas = deltas + params["bbox_ridge"]["bias"][None]
    return jnp.pad(deltas, ((0, 0), (1, 0), (0, 0)))


def _check_proposals(batch: Batch) -> None:
    if not batch.proposals.shape[1]:
        raise InputError("R-CNN's batches must hold proposals, got none; name the proposals of the data set.")
