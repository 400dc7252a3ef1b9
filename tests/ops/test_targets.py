"""Targets against simple-faster-rcnn-pytorch's target creators without sampling (golden/targets.npz)."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.ops import targets as ops
from jaxdet.ops.anchors import base_anchors, grid_anchors
from jaxdet.ops.boxes import decode, inside, pairwise_iou
from jaxdet.types import Proposals
from tests import laws

golden = np.load(pathlib.Path(__file__).parents[1] / "golden" / "targets.npz")
KEY = jax.random.key(5)
EVERYTHING = 20_000  # a batch size that leaves nothing out

rpn_targets = jax.jit(ops.rpn_targets, static_argnames=("batch_size",))
roi_targets = jax.jit(ops.roi_targets, static_argnames=("batch_size", "positive_fraction"))


def scene():
    """Return a small grid of anchors, two objects with two invalid slots after them, and proposals around them."""
    anchors = jnp.asarray(grid_anchors(base_anchors(scales=(1, 2, 4)), (8, 10), stride=16))
    gt_boxes = jnp.array([[10, 10, 60, 70], [80, 20, 150, 120], [5, 5, 20, 20], [0, 0, 0, 0]], jnp.float32)
    gt_labels = jnp.array([3, 1, 2, 0])
    gt_valid = jnp.array([True, True, False, False])
    rng = np.random.default_rng(0)
    around = np.repeat(np.asarray(gt_boxes[:2]), 20, axis=0) + rng.normal(0, 12, (40, 4))
    far = rng.uniform(0, 60, (40, 2))
    boxes = np.concatenate([around, np.concatenate([far, far + 40], axis=1)])
    proposals = Proposals(jnp.asarray(boxes, jnp.float32), jnp.linspace(1, 0, 80), jnp.arange(80) < 70)
    return anchors, inside(anchors, jnp.array([128.0, 160.0])), gt_boxes, gt_labels, gt_valid, proposals


def test_rpn_targets_equal_simple_faster_rcnn():
    anchors = jnp.asarray(golden["anchors"])
    valid = inside(anchors, jnp.asarray(golden["image_size"], jnp.float32))
    gt_boxes = jnp.asarray(golden["gt_boxes"])
    targets = rpn_targets(KEY, anchors, valid, gt_boxes, jnp.ones(8, bool), batch_size=2 * EVERYTHING)
    np.testing.assert_array_equal(targets.label, golden["rpn/label"])
    positive = golden["rpn/label"] == 1
    np.testing.assert_allclose(targets.deltas[positive], golden["rpn/deltas"][positive], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(targets.deltas[~positive], 0)


def test_at_most_half_of_the_sampled_anchors_are_positive():
    anchors = jnp.asarray(golden["anchors"])
    valid = inside(anchors, jnp.array([600.0, 800.0]))
    gt_boxes = jnp.asarray(golden["gt_boxes"])
    everything = np.asarray(golden["rpn/label"])
    for batch_size in (16, 256):
        label = np.asarray(rpn_targets(KEY, anchors, valid, gt_boxes, jnp.ones(8, bool), batch_size=batch_size).label)
        assert np.sum(label == 1) == min(batch_size // 2, np.sum(everything == 1))
        assert np.sum(label >= 0) == batch_size
        np.testing.assert_array_equal(label[label >= 0], everything[label >= 0])


def test_roi_targets_equal_simple_faster_rcnn():
    boxes = jnp.asarray(golden["roi/proposals"])
    proposals = Proposals(boxes, jnp.zeros(len(boxes)), jnp.ones(len(boxes), bool))
    targets = roi_targets(
        KEY,
        proposals,
        jnp.asarray(golden["gt_boxes"]),
        jnp.asarray(golden["gt_labels"] + 1, jnp.int32),  # in the golden file classes count from 0
        jnp.ones(8, bool),
        batch_size=len(boxes) + 8,
        positive_fraction=1.0,
    )
    assert jnp.all(targets.valid)
    order, golden_order = (np.lexsort(np.asarray(b).T) for b in (targets.boxes, golden["roi/sampled"]))
    np.testing.assert_array_equal(targets.boxes[order], golden["roi/sampled"][golden_order])
    label = golden["roi/label"][golden_order]
    np.testing.assert_array_equal(targets.label[order], label)
    deltas, golden_deltas = np.asarray(targets.deltas)[order], golden["roi/deltas"][golden_order]
    np.testing.assert_allclose(deltas[label > 0], golden_deltas[label > 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(deltas[label == 0], 0)


def test_ground_truth_is_among_the_rois_and_deltas_decode_to_it():
    *_, gt_boxes, gt_labels, gt_valid, proposals = scene()
    targets = roi_targets(KEY, proposals, gt_boxes, gt_labels, gt_valid, batch_size=100, positive_fraction=1.0)
    assert int(jnp.sum(targets.valid)) == 72  # 70 proposals and 2 ground truths
    positive = np.asarray(targets.label) > 0
    assert set(np.asarray(targets.label)[positive].tolist()) == {1, 3}
    restored = decode(targets.deltas * jnp.array([[0.1, 0.1, 0.2, 0.2]]), targets.boxes)
    own = np.where(np.asarray(targets.label)[:, None] == 3, gt_boxes[0], gt_boxes[1])
    np.testing.assert_allclose(restored[positive], own[positive], atol=1e-3)
    for box in np.asarray(gt_boxes[:2]):
        assert np.any(np.all(np.asarray(targets.boxes) == box, axis=1))


def test_rois_are_sampled_by_fraction_and_iou_interval():
    *_, gt_boxes, gt_labels, gt_valid, proposals = scene()
    targets = roi_targets(KEY, proposals, gt_boxes, gt_labels, gt_valid, batch_size=16, positive_fraction=0.25)
    np.testing.assert_array_equal(np.asarray(targets.label) > 0, np.arange(16) < 4)

    near = roi_targets(KEY, proposals, gt_boxes, gt_labels, gt_valid, batch_size=32, negative_iou=(0.1, 0.4))
    best = np.max(pairwise_iou(near.boxes, gt_boxes[:2]), axis=1)
    background = np.asarray(near.valid & (near.label == 0))
    assert background.any()
    assert np.all((best[background] >= 0.1) & (best[background] < 0.4))


def test_without_ground_truth_everything_is_background():
    anchors, anchor_valid, gt_boxes, gt_labels, gt_valid, proposals = scene()
    none = jnp.zeros_like(gt_valid)
    rpn = rpn_targets(KEY, anchors, anchor_valid, gt_boxes, none, batch_size=32)
    assert int(jnp.sum(rpn.label == 0)) == 32
    assert not jnp.any(rpn.label == 1)
    for low in (0.0, 0.1):
        roi = roi_targets(KEY, proposals, gt_boxes, gt_labels, none, batch_size=32, negative_iou=(low, 0.5))
        assert jnp.all(roi.valid)
        assert not jnp.any(roi.label)
        assert not jnp.any(roi.deltas)


def test_without_any_valid_slot_nothing_is_sampled():
    anchors, anchor_valid, gt_boxes, gt_labels, gt_valid, proposals = scene()
    rpn = rpn_targets(KEY, anchors, jnp.zeros_like(anchor_valid), gt_boxes, gt_valid)
    assert jnp.all(rpn.label == -1)
    proposals = Proposals(proposals.boxes, proposals.scores, jnp.zeros_like(proposals.valid))
    roi = roi_targets(KEY, proposals, gt_boxes, gt_labels, jnp.zeros_like(gt_valid))
    for leaf in jax.tree.leaves(roi):
        assert not jnp.any(leaf)


def test_no_gradient_flows_into_the_rois():
    *_, gt_boxes, gt_labels, gt_valid, proposals = scene()

    def total(boxes):
        shifted = Proposals(boxes, proposals.scores, proposals.valid)
        targets = roi_targets(KEY, shifted, gt_boxes, gt_labels, gt_valid)
        return jnp.sum(targets.boxes) + jnp.sum(targets.deltas)

    np.testing.assert_array_equal(jax.grad(total)(proposals.boxes), 0)


def rpn_small(anchors, anchor_valid, gt_boxes, gt_valid):
    return ops.rpn_targets(KEY, anchors, anchor_valid, gt_boxes, gt_valid, batch_size=32)


def roi_small(boxes, valid, gt_boxes, gt_labels, gt_valid):
    proposals = Proposals(boxes, jnp.zeros(valid.shape), valid)
    return ops.roi_targets(KEY, proposals, gt_boxes, gt_labels, gt_valid, batch_size=32)


def test_laws():
    anchors, anchor_valid, gt_boxes, gt_labels, gt_valid, proposals = scene()
    rpn = anchors, anchor_valid, gt_boxes, gt_valid
    laws.assert_jit_law(rpn_small, *rpn, tolerance=1e-5)
    laws.assert_vmap_law(rpn_small, rpn, (anchors, anchor_valid, gt_boxes, jnp.zeros_like(gt_valid)))
    roi = proposals.boxes, proposals.valid, gt_boxes, gt_labels, gt_valid
    laws.assert_jit_law(roi_small, *roi, tolerance=1e-5)
    laws.assert_vmap_law(roi_small, roi, (proposals.boxes + 3, proposals.valid, gt_boxes, gt_labels, gt_valid))


def test_padding_law():
    anchors, anchor_valid, gt_boxes, gt_labels, gt_valid, proposals = scene()
    rng = np.random.default_rng(0)
    more_anchors = rng.permutation(np.arange(900) < 720)
    laws.assert_padding_law(rpn_small, (anchors, anchor_valid, gt_boxes, gt_valid), more_anchors, (0, 1), laws.rows)
    more_gt = np.array([False, True, False, True, True, True, False])
    roi = proposals.boxes, proposals.valid, gt_boxes, gt_labels, gt_valid
    laws.assert_padding_law(roi_small, roi, more_gt, (2, 3, 4), lambda targets, slots: targets)
    laws.assert_padding_law(
        rpn_small, (anchors, anchor_valid, gt_boxes, gt_valid), more_gt, (2, 3), lambda targets, slots: targets
    )
    more_proposals = rng.permutation(np.arange(110) < 80)
    laws.assert_padding_law(roi_small, roi, more_proposals, (0, 1), lambda targets, slots: targets)
