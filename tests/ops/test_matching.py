"""Labels against torchvision 0.29's Matcher (golden/ops.npz), ties included, and the rules by hand."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.ops import matching
from jaxdet.ops.boxes import pairwise_iou
from tests import laws

golden = np.load(pathlib.Path(__file__).parents[1] / "golden" / "ops.npz")
match = jax.jit(matching.match, static_argnames=("positive_iou", "negative_iou", "force_best"))
RULE = {"positive_iou": 0.7, "negative_iou": 0.3, "force_best": True}


def inputs():
    iou = pairwise_iou(jnp.asarray(golden["matcher/anchors"]), jnp.asarray(golden["matcher/gt"]))
    return iou, jnp.ones(iou.shape[0], bool), jnp.ones(iou.shape[1], bool)


@pytest.mark.parametrize("force_best", [False, True])
def test_labels_equal_torchvision(force_best):
    matches = match(*inputs(), positive_iou=0.7, negative_iou=0.3, force_best=force_best)
    expected = golden[f"matcher/low_quality_{int(force_best)}"]  # index of the ground truth, -1 negative, -2 between
    label = np.where(expected >= 0, 1, np.where(expected == -1, 0, -1))
    np.testing.assert_array_equal(matches.label, label)
    np.testing.assert_array_equal(matches.gt_index[expected >= 0], expected[expected >= 0])


def test_forced_anchors_keep_their_own_best_ground_truth():
    # Anchor 0 is the best of the first two ground truths; anchors 1 and 2 tie as the best of the third.
    iou = jnp.array([[0.5, 0.4, 0.0], [0.1, 0.0, 0.2], [0.0, 0.3, 0.2], [0.45, 0.39, 0.1]])
    matches = match(iou, jnp.ones(4, bool), jnp.ones(3, bool), **RULE)
    np.testing.assert_array_equal(matches.label, [1, 1, 1, -1])
    np.testing.assert_array_equal(matches.gt_index, [0, 2, 1, 0])
    np.testing.assert_array_equal(matches.iou, np.float32([0.5, 0.2, 0.3, 0.45]))


def test_ground_truth_without_overlapping_anchor_forces_no_positive():
    iou = jnp.array([[0.0, 0.8], [0.0, 0.1]])
    np.testing.assert_array_equal(match(iou, jnp.ones(2, bool), jnp.ones(2, bool), **RULE).label, [1, 0])


def test_the_forced_anchor_is_the_best_valid_one():
    iou = jnp.array([[0.6], [0.5], [0.1]])
    matches = match(iou, jnp.array([False, True, True]), jnp.ones(1, bool), **RULE)
    np.testing.assert_array_equal(matches.label, [-1, 1, 0])


def test_without_ground_truth_every_valid_anchor_is_negative():
    iou = jnp.full((3, 2), 0.9)
    matches = match(iou, jnp.array([True, True, False]), jnp.zeros(2, bool), **RULE)
    np.testing.assert_array_equal(matches.label, [0, 0, -1])
    np.testing.assert_array_equal(matches.gt_index, 0)
    np.testing.assert_array_equal(matches.iou, 0)


def test_iou_equal_to_a_threshold():
    iou = jnp.array([[0.5], [0.25], [0.125]])
    matches = match(iou, jnp.ones(3, bool), jnp.ones(1, bool), positive_iou=0.5, negative_iou=0.25, force_best=False)
    np.testing.assert_array_equal(matches.label, [1, -1, 0])


def test_ties_survive_jit_when_the_iou_is_computed_inside():
    # Each ground truth lies within two equal anchors, so its best IoUs, which are no round numbers, are equal. XLA may
    # compute the IoU twice, for the maximum and for the comparison with it, and round it differently.
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 900, (40, 2)).round(1)
    anchors = np.concatenate([corner, corner + 99.7], axis=1)
    gt = np.concatenate([corner + 20.3, corner + 20.3 + rng.uniform(20, 60, (40, 2))], axis=1)
    anchors = jnp.asarray(np.concatenate([anchors, anchors]), jnp.float32)  # anchor i and i + 40 are equal
    gt = jnp.asarray(gt, jnp.float32)
    rule = dict(RULE, positive_iou=2.0)  # only forced anchors are positive
    valid = jnp.ones(80, bool), jnp.ones(40, bool)
    label = jax.jit(lambda anchors, gt: match(pairwise_iou(anchors, gt), *valid, **rule).label)(anchors, gt)
    best = np.argmax(pairwise_iou(anchors, gt), axis=0)
    np.testing.assert_array_equal(label[best], 1)
    np.testing.assert_array_equal(label[:40], label[40:])


def test_error_for_a_wrong_shape_says_what_to_pass():
    with pytest.raises(ValueError, match=r"match: iou must be float32\[N,G\], got float32\[3\]; pass pairwise_iou"):
        match(jnp.zeros(3), jnp.ones(3, bool), jnp.ones(1, bool), **RULE)


def test_laws():
    iou, anchor_valid, gt_valid = inputs()
    iou, anchor_valid = iou[:500], anchor_valid[:500].at[::7].set(False)

    def function(iou, anchor_valid, gt_valid):
        return matching.match(iou, anchor_valid, gt_valid, **RULE)

    laws.assert_jit_law(function, iou, anchor_valid, gt_valid)
    laws.assert_vmap_law(function, (iou, anchor_valid, gt_valid), (iou[::-1], anchor_valid, gt_valid.at[2].set(False)))

    mask = np.random.default_rng(0).permutation(np.arange(700) < 500)
    laws.assert_padding_law(function, (iou, anchor_valid, gt_valid), mask, (0, 1), laws.rows)

    # With more ground-truth slots at the end the indices stay.
    wide = jnp.concatenate([iou, jnp.full((500, 3), 0.95)], axis=1)
    padded = function(wide, anchor_valid, jnp.concatenate([gt_valid, jnp.zeros(3, bool)]))
    laws.assert_close(padded, function(iou, anchor_valid, gt_valid))
