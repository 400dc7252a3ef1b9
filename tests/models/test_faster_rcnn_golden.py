"""Every stage, loss and gradient of Faster R-CNN against torchvision's.

tests/golden/detector*.npz hold the parameters and figures of torchvision 0.29's FasterRCNN with a narrow VGG16
(channels divided by 8), RoIAlign, anchors 32/64/128 x 0.5/1/2, on one normalised image; in training every anchor and
proposal was sampled.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.models.faster_rcnn import faster_rcnn
from jaxdet.models.rpn import region_proposal_network
from jaxdet.ops.anchors import base_anchors
from jaxdet.types import Batch
from jaxdet.weights.layers import VGG16_LAYERS
from jaxdet.weights.torch import torchvision_faster_rcnn
from tests.golden.files import load, narrow_vgg16

EVERY_ANCHOR = 10 * 14 * 9


@functools.cache
def golden():
    return load("detector", "detector_backbone", "detector_heads")


def params():
    state = {name.removeprefix("params/"): x for name, x in golden().items() if name.startswith("params/")}
    return jax.tree.map(jnp.asarray, torchvision_faster_rcnn(state))


@functools.cache
def net():
    return narrow_vgg16()


@functools.cache
def detector():
    proposals = {"pre_nms_top_n": 1000, "nms_iou": 0.7}
    limit = float(np.log(1000 / 16))
    rpn = region_proposal_network(
        net(),
        base_anchors(scales=(2, 4, 8), convention="torchvision"),
        targets={"batch_size": EVERY_ANCHOR, "positive_fraction": 1.0},
        train_proposals=proposals | {"post_nms_top_n": 200},
        test_proposals=proposals | {"post_nms_top_n": 100},
        min_size=1e-3,
        max_log_scale=limit,
        cross_boundary_anchors=True,
    )
    return faster_rcnn(
        net(),
        rpn,
        roi_targets={"batch_size": 204, "positive_fraction": 1.0},  # 200 proposals and 4 ground truths
        detections={"score_threshold": 0.05, "nms_iou": 0.3, "max_detections": 100},
        sigma=3.0,
        roi_pooling="align",
        max_log_scale=limit,
    )


def batch():
    image = golden()["image"]
    return Batch(
        image=jnp.asarray(image)[None],
        image_size=jnp.asarray([image.shape[:2]], jnp.float32),
        scale=jnp.ones(1),
        image_id=jnp.zeros(1, jnp.int32),
        image_valid=jnp.ones(1, bool),
        gt_boxes=jnp.asarray(golden()["gt_boxes"])[None],
        gt_labels=jnp.asarray(golden()["gt_labels"], jnp.int32)[None],
        gt_valid=jnp.ones((1, 4), bool),
        proposals=jnp.zeros((1, 0, 4)),
        proposals_valid=jnp.zeros((1, 0), bool),
    )


def test_features_and_rpn():
    features, size = net().features(params(), batch().image, batch().image_size)
    np.testing.assert_array_equal(size, [[10, 14]])
    np.testing.assert_allclose(features[0], golden()["eval/features"], rtol=1e-4, atol=1e-5)
    logits, deltas = net().rpn(params(), features)
    objectness = (logits[..., 1] - logits[..., 0]).reshape(10, 14, 9)
    np.testing.assert_allclose(objectness, golden()["eval/objectness"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(deltas.reshape(10, 14, 9, 4), golden()["eval/rpn_deltas"], rtol=1e-4, atol=1e-5)


def test_detections_one_to_one():
    found = jax.tree.map(np.asarray, jax.jit(detector().predict)(params(), batch()))
    boxes, labels, scores = (golden()[f"eval/detections/{name}"] for name in ("boxes", "labels", "scores"))
    valid = found.valid[0]
    assert valid.sum() == len(boxes)
    left = list(range(valid.sum()))
    for box, label, score in zip(boxes, labels, scores, strict=True):
        same = [
            i
            for i in left
            if found.labels[0, i] == label
            and abs(found.scores[0, i] - score) < 1e-4
            and np.abs(found.boxes[0, i] - box).max() < 1e-2
        ]
        assert same, (box, label, score)
        left.remove(same[0])


@functools.cache
def loss_and_gradients():
    (_, metrics), gradients = jax.jit(jax.value_and_grad(detector().loss, has_aux=True))(
        params(), batch(), jax.random.key(0)
    )
    return metrics, gradients


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("objectness_loss", "loss_objectness"),
        ("rpn_box_loss", "loss_rpn_box_reg"),
        ("class_loss", "loss_classifier"),
        ("box_loss", "loss_box_reg"),
    ],
)
def test_loss(ours, theirs):
    np.testing.assert_allclose(loss_and_gradients()[0][ours], golden()[f"train/{theirs}"], rtol=1e-4)


LAYERS = {f"backbone.{index}": name for name, (_, index) in VGG16_LAYERS.items()} | {
    "rpn.head.conv.0.0": "rpn_conv",
    "rpn.head.cls_logits": "rpn_cls_score",
    "rpn.head.bbox_pred": "rpn_bbox_pred",
    "roi_heads.box_head.fc6": "fc6",
    "roi_heads.box_head.fc7": "fc7",
    "roi_heads.box_predictor.cls_score": "cls_score",
    "roi_heads.box_predictor.bbox_pred": "bbox_pred",
}


# Two of conv2_2's pre-activations on this image are 4e-7 and 5e-7 in float64, less than float32's rounding of them.
# They are positive here as in float64; there one came out at or below zero, and no gradient flowed. Everything above
# agrees to 1e-5, everything with that unit off to 3e-4, but these two biases are 1.1e-3 and 1.2e-3 apart.
ROUNDED_TO_ZERO_THERE = {("backbone.5", "bias"): 1.5e-3, ("backbone.7", "bias"): 1.5e-3}


@pytest.mark.parametrize("leaf", ["weight", "bias"])
@pytest.mark.parametrize("layer", LAYERS)
def test_gradient_norm(layer, leaf):
    gradient = loss_and_gradients()[1][LAYERS[layer]]["kernel" if leaf == "weight" else "bias"]
    if layer == "rpn.head.cls_logits":  # theirs has only the object's logit
        gradient = gradient.reshape(*gradient.shape[:-1], 9, 2)[..., 1]
    tolerance = ROUNDED_TO_ZERO_THERE.get((layer, leaf), 1e-3)
    np.testing.assert_allclose(jnp.linalg.norm(gradient), golden()[f"train/grad_norm/{layer}.{leaf}"], rtol=tolerance)


def test_whole_gradients():
    gradients = loss_and_gradients()[1]
    want = golden()["train/grad/backbone.0.weight"].transpose(2, 3, 1, 0)  # below the unit explained above
    np.testing.assert_allclose(gradients["conv1_1"]["kernel"], want, rtol=1e-3, atol=2e-3 * np.abs(want).max())
    want = golden()["train/grad/roi_heads.box_predictor.cls_score.weight"].T
    np.testing.assert_allclose(gradients["cls_score"]["kernel"], want, rtol=1e-3, atol=1e-4 * np.abs(want).max())
