"""Every stage of inference of simple-faster-rcnn-pytorch's FasterRCNNVGG16, from its own parameters.

tests/golden/sf_detector_{backbone,heads}.npz hold the state dict of a checkpoint (channels divided by 8, a head of 64,
21 classes) and sf_detector.npz its outputs for one preprocessed image of 200 x 296, in x, y order: floor pooling,
unrounded anchors of scales 2 4 8, proposals 6000 / 0.7 / 300 of side 16 at least, scores above 0.05, NMS at 0.3 and no
limit on the number of detections.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.models.faster_rcnn import faster_rcnn
from jaxdet.models.rpn import region_proposal_network
from jaxdet.ops.anchors import anchor_valid, base_anchors, grid_anchors
from jaxdet.ops.propose import propose
from jaxdet.ops.roi_pool import roi_max_pool
from jaxdet.weights.torch import identify, simple_faster_rcnn
from tests.golden.files import load, narrow_vgg16, one_image_batch

HEIGHT, WIDTH = 200, 296
ANCHORS = base_anchors(scales=(2, 4, 8), convention="simple_faster_rcnn")
PROPOSALS = {"pre_nms_top_n": 6000, "post_nms_top_n": 300, "nms_iou": 0.7}


@functools.cache
def golden():
    return load("sf_detector")


@functools.cache
def params():
    state = load("sf_detector_backbone", "sf_detector_heads")
    assert identify(state) == "simple_faster_rcnn"
    return jax.tree.map(jnp.asarray, simple_faster_rcnn(state))


@functools.cache
def net():
    return narrow_vgg16()


def batch():
    image = np.pad(golden()["image"], ((0, 8), (0, 8), (0, 0)))  # to a bucket whose sides are multiples of 16
    return one_image_batch(image, size=(HEIGHT, WIDTH))


@functools.cache
def stages():
    """Outputs of backbone, RPN, proposal layer and head, the detections as there, and with their last pixel."""
    rpn = region_proposal_network(net(), ANCHORS, targets={}, train_proposals=PROPOSALS, test_proposals=PROPOSALS)
    limits = {"score_threshold": 0.05, "nms_iou": 0.3, "max_detections": 2000}
    raw, whole = (
        faster_rcnn(net(), rpn, roi_targets={}, detections=limits, inclusive_boxes=inclusive)
        for inclusive in (False, True)
    )

    @jax.jit
    def run(params, batch):
        features, size = net().features(params, batch.image, batch.image_size)
        grid = features.shape[1:3]
        logits, deltas = net().rpn(params, features)
        anchors = jnp.asarray(grid_anchors(ANCHORS, grid, stride=16))
        valid = anchor_valid(grid, size[0], 9)
        objectness = logits[0, :, 1] - logits[0, :, 0]
        proposals = propose(objectness, deltas[0], anchors, valid, batch.image_size[0], jnp.float32(16), **PROPOSALS)
        pooled = roi_max_pool(features[0], proposals.boxes, output_size=7, stride=16)
        scores, boxes = net().head(params, pooled[None], None)
        rpn = logits[0], deltas[0], valid
        return (
            (features[0], size[0]),
            rpn,
            proposals,
            (scores[0], boxes[0]),
            raw.predict(params, batch),
            whole.predict(params, batch),
        )

    return jax.tree.map(np.asarray, run(params(), batch()))


def test_features_and_rpn_outputs_are_equal():
    (features, size), (logits, deltas, valid), *_ = stages()
    np.testing.assert_array_equal(size, [12, 18])
    np.testing.assert_allclose(features[:12, :18], golden()["eval/features"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits[valid], golden()["eval/rpn_logits"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(deltas[valid], golden()["eval/rpn_deltas"], rtol=1e-4, atol=1e-5)


def test_proposals_and_head_outputs_are_equal():
    _, _, proposals, (scores, boxes), *_ = stages()
    assert proposals.valid.all()
    np.testing.assert_allclose(proposals.boxes, golden()["eval/proposals"], rtol=0, atol=1e-2)
    np.testing.assert_allclose(scores, golden()["eval/class_logits"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(boxes, golden()["eval/box_deltas"], rtol=1e-4, atol=1e-4)


def test_all_702_detections_correspond_one_to_one():
    detections = stages()[-2]
    boxes, labels, scores = (golden()[f"eval/detections/{name}"] for name in ("boxes", "labels", "scores"))
    valid = detections.valid[0]
    assert valid.sum() == len(boxes) == 702
    same = (
        (detections.labels[0][valid][:, None] == labels)
        & (np.abs(detections.scores[0][valid][:, None] - scores) < 1e-4)
        & (np.abs(detections.boxes[0][valid][:, None] - boxes).max(-1) < 1e-2)
    )
    np.testing.assert_array_equal(same.sum(0), 1)
    np.testing.assert_array_equal(same.sum(1), 1)


def test_inclusive_boxes_add_the_last_pixel_within_the_image():
    raw, whole = stages()[-2:]
    expected = np.minimum(raw.boxes + [0, 0, 1, 1], [WIDTH, HEIGHT, WIDTH, HEIGHT])
    np.testing.assert_allclose(whole.boxes[raw.valid], expected[raw.valid], atol=1e-3)
    np.testing.assert_array_equal(whole.valid, raw.valid)
