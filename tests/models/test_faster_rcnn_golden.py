"""Every stage, loss and gradient of Faster R-CNN against torchvision.

tests/golden/detector*.npz hold the parameters and results of torchvision 0.29's FasterRCNN with a narrow VGG16
(channels divided by 8), RoIAlign, anchors 32/64/128 x 0.5/1/2, on one preprocessed image; in training every anchor and
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
from jaxdet.weights.layers import VGG16_LAYERS
from jaxdet.weights.torch import torchvision_faster_rcnn
from tests.golden.files import load, narrow_vgg16, one_image_batch

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
    return one_image_batch(golden()["image"], boxes=golden()["gt_boxes"], labels=golden()["gt_labels"])


def test_features_and_rpn_outputs_equal_torchvision():
    features, size = net().features(params(), batch().image, batch().image_size)
    np.testing.assert_array_equal(size, [[10, 14]])
    np.testing.assert_allclose(features[0], golden()["eval/features"], rtol=1e-4, atol=1e-5)
    logits, deltas = net().rpn(params(), features)
    objectness = (logits[..., 1] - logits[..., 0]).reshape(10, 14, 9)
    np.testing.assert_allclose(objectness, golden()["eval/objectness"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(deltas.reshape(10, 14, 9, 4), golden()["eval/rpn_deltas"], rtol=1e-4, atol=1e-5)


def test_detections_equal_torchvision_one_to_one():
    detections = jax.tree.map(np.asarray, jax.jit(detector().predict)(params(), batch()))
    boxes, labels, scores = (golden()[f"eval/detections/{name}"] for name in ("boxes", "labels", "scores"))
    valid = detections.valid[0]
    assert valid.sum() == len(boxes)
    unmatched = list(range(valid.sum()))
    for box, label, score in zip(boxes, labels, scores, strict=True):
        same = [
            i
            for i in unmatched
            if detections.labels[0, i] == label
            and abs(detections.scores[0, i] - score) < 1e-4
            and np.abs(detections.boxes[0, i] - box).max() < 1e-2
        ]
        assert same, (box, label, score)
        unmatched.remove(same[0])


def params_with_torchs_rounding():
    """Return the parameters with one bias 2e-6 lower.

    A pre-activation of channel 9 of conv2_2 is 3.6e-7 in float64, less than float32's rounding error. Its sign decides
    whether a gradient flows, and changes gradient norms by up to 1.2e-3. In torchvision's run it was not positive; here
    that would depend on the machine's order of summation. No other pre-activation so near 0 matters.
    """
    changed = dict(params())
    conv2_2 = changed["conv2_2"]
    changed["conv2_2"] = conv2_2 | {"bias": conv2_2["bias"].at[9].add(-2e-6)}
    return changed


@functools.cache
def losses_and_gradients():
    gradient = jax.jit(jax.value_and_grad(detector().loss, has_aux=True))
    (_, metrics), gradients = gradient(params_with_torchs_rounding(), batch(), jax.random.key(0))
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
def test_losses_equal_torchvision(ours, theirs):
    np.testing.assert_allclose(losses_and_gradients()[0][ours], golden()[f"train/{theirs}"], rtol=1e-4)


LAYERS = {f"backbone.{index}": name for name, (_, index) in VGG16_LAYERS.items()} | {
    "rpn.head.conv.0.0": "rpn_conv",
    "rpn.head.cls_logits": "rpn_cls_score",
    "rpn.head.bbox_pred": "rpn_bbox_pred",
    "roi_heads.box_head.fc6": "fc6",
    "roi_heads.box_head.fc7": "fc7",
    "roi_heads.box_predictor.cls_score": "cls_score",
    "roi_heads.box_predictor.bbox_pred": "bbox_pred",
}


@pytest.mark.parametrize("leaf", ["weight", "bias"])
@pytest.mark.parametrize("layer", LAYERS)
def test_gradient_norms_equal_torchvision(layer, leaf):
    gradient = losses_and_gradients()[1][LAYERS[layer]]["kernel" if leaf == "weight" else "bias"]
    if layer == "rpn.head.cls_logits":  # torchvision has only the object's logit
        gradient = gradient.reshape(*gradient.shape[:-1], 9, 2)[..., 1]
    np.testing.assert_allclose(jnp.linalg.norm(gradient), golden()[f"train/grad_norm/{layer}.{leaf}"], rtol=1e-4)


def test_gradients_of_the_first_and_last_layer_equal_torchvision():
    gradients = losses_and_gradients()[1]
    want = golden()["train/grad/backbone.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_allclose(gradients["conv1_1"]["kernel"], want, rtol=1e-3, atol=1e-4 * np.abs(want).max())
    want = golden()["train/grad/roi_heads.box_predictor.cls_score.weight"].T
    np.testing.assert_allclose(gradients["cls_score"]["kernel"], want, rtol=1e-3, atol=1e-4 * np.abs(want).max())
