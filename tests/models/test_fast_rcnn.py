"""Fast R-CNN: padding, target statistics, and equality with the second half of Faster R-CNN."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.models.fast_rcnn import fast_rcnn, fold_target_statistics, with_target_statistics
from jaxdet.models.faster_rcnn import faster_rcnn
from jaxdet.models.rpn import region_proposal_network, rpn_detector
from jaxdet.ops.anchors import base_anchors
from jaxdet.types import Batch
from tests.models.small_net import small_net

SECTIONS = {
    "roi_targets": {"batch_size": 16},
    "detections": {"score_threshold": 0.05, "nms_iou": 0.3, "max_detections": 20},
}
PROPOSALS = {"pre_nms_top_n": 100, "post_nms_top_n": 12, "nms_iou": 0.7}
LIMITS = {"train_proposals": PROPOSALS, "test_proposals": PROPOSALS, "min_size": 4.0}
ANCHORS = base_anchors(scales=(1.5, 3))
MEAN = np.float32(np.random.default_rng(5).normal(0, 0.05, (4, 4)))
STD = np.float32(np.random.default_rng(6).uniform(0.05, 0.3, (4, 4)))
NET = small_net()


@functools.cache
def detector():
    return fast_rcnn(NET, num_classes=3, **SECTIONS)


@functools.cache
def compiled(name):
    functions = {
        "loss": detector().loss,
        "gradient": jax.grad(detector().loss, has_aux=True),
        "predict": detector().predict,
    }
    return jax.jit(functions[name])


@functools.cache
def params():
    return with_target_statistics(jax.jit(detector().init)(jax.random.key(0)), MEAN, STD)


def image_batch(seed=3, size=(61, 100), bucket=(64, 112), *, slots=12, count=9):
    """Return a batch of one random image with `count` proposals in `slots`; invalid slots and pixels are not zero."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (*size, 3), np.uint8)
    gt = np.float32([[8, 6, 50, 40], [40, 20, 95, 58]])
    near = gt[rng.integers(0, 2, count)] + rng.uniform(-7, 7, (count, 4)).astype(np.float32)
    proposals, valid = np.full((slots, 4), 5, np.float32), np.arange(slots) < count
    proposals[:count] = np.clip(near, 0, np.float32(size[::-1] * 2))
    canvas = np.random.default_rng(99).integers(0, 255, (*bucket, 3), np.uint8)
    canvas[: size[0], : size[1]] = image
    return Batch(
        image=canvas[None],
        image_size=np.float32([size]),
        scale=np.float32([1.5]),
        image_id=np.int32([seed]),
        image_valid=np.array([True]),
        gt_boxes=gt[None],
        gt_labels=np.int32([[1, 3]]),
        gt_valid=np.array([[True, True]]),
        proposals=proposals[None],
        proposals_valid=valid[None],
    )


def test_losses_and_detections_do_not_depend_on_the_padding_of_pixels_and_proposals():
    key = jax.random.key(7)
    padded = image_batch(bucket=(96, 144), slots=20)
    alone, larger = (compiled("loss")(params(), batch, key)[1] for batch in (image_batch(), padded))
    for name, value in alone.items():
        np.testing.assert_allclose(larger[name], value, rtol=1e-4, err_msg=name)
    assert float(alone["box_loss"]) > 0
    detections, same = (compiled("predict")(params(), batch) for batch in (image_batch(), padded))
    assert detections.valid.any()
    np.testing.assert_array_equal(detections.labels, same.labels)
    np.testing.assert_allclose(detections.boxes, same.boxes, atol=1e-3)
    np.testing.assert_allclose(detections.scores, same.scores, atol=1e-5)


@pytest.mark.parametrize("change", ["no proposals", "no objects", "neither"])
def test_without_proposals_or_objects_losses_and_gradients_are_finite(change):
    batch = image_batch()
    if change != "no objects":
        batch = dataclasses.replace(batch, proposals_valid=np.zeros_like(batch.proposals_valid))
    if change != "no proposals":
        batch = dataclasses.replace(batch, gt_valid=np.zeros_like(batch.gt_valid))
    gradients, metrics = compiled("gradient")(params(), batch, jax.random.key(0))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradients, metrics)))
    if change != "no objects":
        assert not compiled("predict")(params(), batch).valid.any()


def test_targets_are_normalised_per_class():
    """A head that always predicts zero has the box loss of the targets themselves."""
    flat = jax.tree.map(jnp.zeros_like, params()["bbox_pred"])
    constant = params() | {"bbox_pred": flat}

    def box_loss(mean, std):
        return float(
            compiled("loss")(with_target_statistics(constant, mean, std), image_batch(), jax.random.key(7))[1][
                "box_loss"
            ]
        )

    wide = box_loss(np.zeros((4, 4), np.float32), np.full((4, 4), 10, np.float32))
    wider = box_loss(np.zeros((4, 4), np.float32), np.full((4, 4), 20, np.float32))
    assert wide == pytest.approx(4 * wider, rel=1e-4)  # all in the quadratic part of smooth L1
    others = np.float32([[9] * 4, [0] * 4, [9] * 4, [0] * 4])  # classes that are not in the image
    assert box_loss(others, np.full((4, 4), 10, np.float32)) == pytest.approx(wide, rel=1e-6)


def test_box_loss_of_normalised_targets_computed_by_hand():
    """All RoIs are sampled: two proposals on objects, the two objects, and one proposal on the background."""
    constant = params() | {"bbox_pred": jax.tree.map(jnp.zeros_like, params()["bbox_pred"])}
    batch = image_batch(count=3)
    near, objects = np.float32([[11, 4, 55, 44], [34, 22, 92, 54]]), batch.gt_boxes[0]
    batch.proposals[0, :3] = *near, [60, 0, 75, 8]
    got = compiled("loss")(constant, batch, jax.random.key(7))[1]["box_loss"]
    side = near[:, 2:] - near[:, :2]
    shift = (objects[:, :2] + objects[:, 2:] - near[:, :2] - near[:, 2:]) / 2 / side
    deltas = np.concatenate([shift, np.log((objects[:, 2:] - objects[:, :2]) / side)], axis=1)
    label = np.array([1, 3, 1, 3])
    targets = (np.concatenate([deltas, np.zeros((2, 4))]) - MEAN[label]) / STD[label]
    errors = np.where(abs(targets) < 1, targets**2 / 2, abs(targets) - 0.5)
    np.testing.assert_allclose(got, errors.sum() / 5, rtol=1e-5)


def test_box_weight_weighs_the_box_loss_alone():
    weighted = jax.jit(fast_rcnn(NET, num_classes=3, **SECTIONS, box_weight=2.5).loss)
    arguments = params(), image_batch(), jax.random.key(7)
    (total, got), (_, plain) = weighted(*arguments), compiled("loss")(*arguments)
    np.testing.assert_allclose(got["box_loss"], 2.5 * plain["box_loss"], rtol=1e-5)
    np.testing.assert_allclose(got["class_loss"], plain["class_loss"], rtol=1e-5)
    np.testing.assert_allclose(total, got["box_loss"] + got["class_loss"], rtol=1e-5)


def test_with_folded_statistics_it_equals_the_second_half_of_faster_rcnn():
    """The same proposals and head give the same detections once the statistics are folded into bbox_pred."""
    delta_std = (0.1, 0.1, 0.2, 0.2)
    rpn = region_proposal_network(NET, ANCHORS, targets={}, **LIMITS)
    whole = faster_rcnn(NET, rpn, **SECTIONS, delta_std=delta_std)
    folded = fold_target_statistics(params(), delta_std)
    assert folded.keys() == jax.eval_shape(whole.init, jax.random.key(0)).keys()
    alone = rpn_detector(NET, rpn)
    batch = image_batch()
    proposals = jax.jit(alone.predict)(folded, batch)
    assert proposals.valid.sum() > 3
    assert (np.diff(np.asarray(proposals.scores[0])[np.asarray(proposals.valid[0])]) <= 0).all()
    with_proposals = dataclasses.replace(
        batch, proposals=proposals.boxes * batch.scale[:, None, None], proposals_valid=proposals.valid
    )
    detections = compiled("predict")(params(), with_proposals)
    expected = jax.jit(whole.predict)(folded, batch)
    assert expected.valid.any()
    np.testing.assert_array_equal(detections.labels, expected.labels)
    np.testing.assert_allclose(detections.boxes, expected.boxes, atol=1e-2)
    np.testing.assert_allclose(detections.scores, expected.scores, atol=1e-5)


def test_rpn_alone_has_the_losses_of_joint_training():
    rpn = region_proposal_network(NET, ANCHORS, targets={"batch_size": 32}, **LIMITS)
    whole, alone = faster_rcnn(NET, rpn, **SECTIONS), rpn_detector(NET, rpn)
    got, expected = (jax.jit(d.loss)(params(), image_batch(), jax.random.key(3))[1] for d in (alone, whole))
    assert got.keys() == {"objectness_loss", "rpn_box_loss"}
    for name, value in got.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, err_msg=name)
