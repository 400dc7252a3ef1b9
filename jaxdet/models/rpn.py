"""The region proposal network (Faster R-CNN, section 3.1) as functions over a batch: what it says, proposes and learns.

faster_rcnn composes them with the detection head; `rpn_detector` is the network alone, as steps 1 and 3 of the paper's
4-step training train it.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.checks import InputError, bind, nearest
from jaxdet.models.detector import Detector, image_mean, keys_of
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops import targets
from jaxdet.ops.anchors import anchor_valid, grid_anchors
from jaxdet.ops.boxes import inside
from jaxdet.ops.losses import rpn_loss
from jaxdet.types import Batch, Detections, Proposals

NORMALISERS = ("sampled", "locations")


@dataclasses.dataclass(frozen=True)
class Rpn:
    """Pure functions over the batch axis; `Output` is what the network says of every anchor.

    output(params, features [B,h,w,C], size i32[B,2]) -> Output
    propose(output, batch, best) -> Proposals [B,P]; best is ops propose with its limits bound
    losses(output, batch, keys [B]) -> objectness loss f32[B], box loss f32[B]
    """

    output: Callable
    propose: Callable
    losses: Callable


@dataclasses.dataclass(frozen=True)
class Output:
    logits: jax.Array  # f32[B,N,2] (background, object)
    deltas: jax.Array  # f32[B,N,4]
    anchors: jax.Array  # f32[N,4]
    valid: jax.Array  # bool[B,N] anchors whose cell lies on the image
    size: jax.Array  # i32[B,2] cells of the feature map that lie on the image


def region_proposal_network(
    net: RegionNet,
    base_anchors: np.ndarray,
    *,
    rpn_targets: Mapping[str, Any],
    min_proposal_size: float,
    rpn_sigma: float,
    rpn_box_weight: float,
    rpn_box_normaliser: str,
    cross_boundary_anchors: bool,
) -> Rpn:
    """The network's functions; the arguments are those of faster_rcnn.

    Raises InputError for an argument that an op does not know.
    """
    if rpn_box_normaliser not in NORMALISERS:
        raise InputError(f"rpn_box_normaliser: no {rpn_box_normaliser!r}; {nearest(rpn_box_normaliser, NORMALISERS)}")
    assign = bind(targets.rpn_targets, rpn_targets, section="rpn_targets")
    loss = functools.partial(rpn_loss, sigma=rpn_sigma, box_weight=rpn_box_weight, box_normaliser=rpn_box_normaliser)

    def output(params, features, size):
        logits, deltas = net.rpn(params, features)
        grid = features.shape[1:3]
        anchors = jnp.asarray(grid_anchors(base_anchors, grid, stride=net.stride))
        valid = jax.vmap(lambda s: anchor_valid(grid, s, num_anchors=len(base_anchors)))(size)
        return Output(logits, deltas, anchors, valid, size)

    def propose(out: Output, batch: Batch, best: Callable) -> Proposals:
        def of_one(logits, deltas, valid, size, scale):
            return best(logits[:, 1] - logits[:, 0], deltas, out.anchors, valid, size, min_proposal_size * scale)

        return jax.vmap(of_one)(out.logits, out.deltas, out.valid, batch.image_size, batch.scale)

    def losses(out: Output, batch: Batch, keys):
        def of_one(key, logits, deltas, valid, cells, size, gt_boxes, gt_valid):
            trained = valid if cross_boundary_anchors else valid & inside(out.anchors, size)
            return loss(logits, deltas, assign(key, out.anchors, trained, gt_boxes, gt_valid), cells[0] * cells[1])

        return jax.vmap(of_one)(
            keys, out.logits, out.deltas, out.valid, out.size, batch.image_size, batch.gt_boxes, batch.gt_valid
        )

    return Rpn(output, propose, losses)


def rpn_detector(net: RegionNet, rpn: Rpn, best: Callable) -> Detector:
    """The region proposal network alone.

    Its `predict` gives the proposals, chosen by `best` (ops propose with its limits bound), as Detections of label 1
    ("an object") whose scores are the objectness logits: boxes in original pixels, best first.
    """

    def loss(params, batch, key):
        features, size = net.features(params, net.normalise(batch.image), batch.image_size)
        rpn_keys = keys_of(key, batch)[:, 0]  # the same draws as in joint training
        objectness, boxes = rpn.losses(rpn.output(params, features, size), batch, rpn_keys)
        metrics = {"objectness_loss": image_mean(objectness, batch), "rpn_box_loss": image_mean(boxes, batch)}
        return sum(metrics.values()), metrics

    def predict(params, batch):
        features, size = net.features(params, net.normalise(batch.image), batch.image_size)
        found = rpn.propose(rpn.output(params, features, size), batch, best)
        return Detections(
            boxes=found.boxes / batch.scale[:, None, None],
            scores=found.scores,
            labels=found.valid.astype(jnp.int32),
            valid=found.valid & batch.image_valid[:, None],
        )

    return Detector(init=net.init, loss=loss, predict=predict)
