"""The region proposal network (Faster R-CNN, section 3.1) as functions over a batch: outputs, losses and proposals.

faster_rcnn adds the detection head; `rpn_detector` is the network alone, as steps 1 and 3 of the paper's 4-step
training train it.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.checks import bind, one_of
from jaxdet.models.anchor_grid import AnchorGrid, make_anchor_grid
from jaxdet.models.detector import Detector, image_mean, per_image_keys
from jaxdet.nets.fpn_net import FpnNet
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops import targets as op_targets
from jaxdet.ops.boxes import inside
from jaxdet.ops.losses import rpn_loss
from jaxdet.ops.propose import propose
from jaxdet.ops.propose_by_level import propose_by_level
from jaxdet.types import Batch, Detections, Metrics, Params, Proposals

BOX_NORMALISERS = ("sampled", "locations")


@dataclasses.dataclass(frozen=True)
class RpnOutput:
    """Predictions for every anchor of a batch."""

    logits: jax.Array  # f32[B,N,2] (background, object)
    deltas: jax.Array  # f32[B,N,4]
    grid: AnchorGrid


@dataclasses.dataclass(frozen=True)
class Rpn:
    """Pure functions over the batch axis.

    output(params, features, size) -> RpnOutput, of what the net's `features` returns
    losses(output, batch, keys [B]) -> objectness loss f32[B], box loss f32[B]
    propose_train(output, batch) -> Proposals [B,P], the RoIs to sample from in training
    propose_test(output, batch) -> Proposals [B,P], the RoIs to detect in
    """

    output: Callable[[Params, Any, Any], RpnOutput]
    losses: Callable[[RpnOutput, Batch, jax.Array], tuple[jax.Array, jax.Array]]
    propose_train: Callable[[RpnOutput, Batch], Proposals]
    propose_test: Callable[[RpnOutput, Batch], Proposals]


def region_proposal_network(
    net: RegionNet | FpnNet,
    base_anchors: np.ndarray,
    *,
    targets: Mapping[str, Any],
    train_proposals: Mapping[str, Any],
    test_proposals: Mapping[str, Any],
    min_size: float = 16.0,
    sigma: float = 3.0,
    box_weight: float = 1.0,
    box_normaliser: str = "sampled",
    cross_boundary_anchors: bool = False,
    max_log_scale: float | None = None,
) -> Rpn:
    """Return the network's functions.

    Args:
      net: its `rpn` gives the logits and deltas.
      base_anchors: f32[A,4] the anchors of the cell at the origin; for a pyramid f32[L,A,4], finest level first.
      targets: keyword arguments of ops rpn_targets.
      train_proposals: keyword arguments of ops propose, for a pyramid propose_by_level, in training.
      test_proposals: the same in detection.
      min_size: boxes with a shorter side are not proposed, in pixels of the original image.
      sigma: smooth L1 turns linear at 1 / sigma^2.
      box_weight: see ops rpn_loss; 1 with 'sampled' (py-faster-rcnn) or 10 with 'locations' (the paper).
      box_normaliser: 'sampled' or 'locations', see ops rpn_loss.
      cross_boundary_anchors: train on anchors that cross the image's border; the paper ignores them (3.3).
      max_log_scale: upper limit of dw and dh when boxes are decoded; None as in the paper.

    Raises:
      InputError: an argument that an op does not take, or another box_normaliser.
      ValueError: the net has no region proposal network.
    """
    one_of("rpn.box_normaliser", box_normaliser, BOX_NORMALISERS)
    head = net.rpn
    if head is None:
        raise ValueError("region_proposal_network: net must have an RPN, got num_anchors=0; pass len(base_anchors).")
    assign = bind(op_targets.rpn_targets, targets, section="rpn.targets")
    loss = functools.partial(rpn_loss, sigma=sigma, box_weight=box_weight, box_normaliser=box_normaliser)
    by_level = isinstance(net, FpnNet)
    op: Callable[..., Proposals] = propose_by_level if by_level else propose
    train_propose = bind(op, train_proposals, section="rpn.train_proposals", max_log_scale=max_log_scale)
    test_propose = bind(op, test_proposals, section="rpn.test_proposals", max_log_scale=max_log_scale)
    anchor_grid = make_anchor_grid(net, base_anchors)

    def output(params: Params, features: Any, size: Any) -> RpnOutput:
        logits, deltas = head(params, features)
        return RpnOutput(logits, deltas, anchor_grid(features, size))

    def losses(output: RpnOutput, batch: Batch, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
        def image_losses(key, logits, deltas, anchors, valid, locations, image_size, gt_boxes, gt_valid):
            trained = valid if cross_boundary_anchors else valid & inside(anchors, image_size)
            assigned = assign(key, anchors, trained, gt_boxes, gt_valid)
            return loss(logits, deltas, assigned, locations)

        return jax.vmap(image_losses)(
            keys,
            output.logits,
            output.deltas,
            output.grid.anchors,
            output.grid.valid,
            output.grid.locations,
            batch.image_size,
            batch.gt_boxes,
            batch.gt_valid,
        )

    def propose_with(op: Callable[..., Proposals], output: RpnOutput, batch: Batch) -> Proposals:
        level_sizes = (output.grid.level_sizes,) if by_level else ()

        def image_proposals(logits, deltas, anchors, valid, image_size, scale):
            objectness = logits[:, 1] - logits[:, 0]
            return op(objectness, deltas, anchors, valid, image_size, min_size * scale, *level_sizes)

        grid = output.grid
        return jax.vmap(image_proposals)(
            output.logits, output.deltas, grid.anchors, grid.valid, batch.image_size, batch.scale
        )

    return Rpn(
        output=output,
        losses=losses,
        propose_train=functools.partial(propose_with, train_propose),
        propose_test=functools.partial(propose_with, test_propose),
    )


def rpn_detector(net: RegionNet, rpn: Rpn) -> Detector:
    """Return the region proposal network alone, as a detector.

    Its `predict` returns the training proposals as Detections of label 1 ("an object") whose scores are the objectness
    logits: boxes in original pixels, best first.
    """

    def loss(params: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
        features, size = net.features(params, net.preprocess(batch.image), batch.image_size)
        rpn_keys = per_image_keys(key, batch)[:, 0]  # samples the same anchors as joint training
        objectness, boxes = rpn.losses(rpn.output(params, features, size), batch, rpn_keys)
        metrics = {"objectness_loss": image_mean(objectness, batch), "rpn_box_loss": image_mean(boxes, batch)}
        return sum(metrics.values(), start=jnp.zeros(())), metrics

    def predict(params: Params, batch: Batch) -> Detections:
        features, size = net.features(params, net.preprocess(batch.image), batch.image_size)
        proposals = rpn.propose_train(rpn.output(params, features, size), batch)
        return Detections(
            boxes=proposals.boxes / batch.scale[:, None, None],
            scores=proposals.scores,
            labels=proposals.valid.astype(jnp.int32),
            valid=proposals.valid & batch.image_valid[:, None],
        )

    return Detector(init=net.init, loss=loss, predict=predict)
