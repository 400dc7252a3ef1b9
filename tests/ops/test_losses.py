"""Losses computed by hand; values and gradients stay finite whatever the unused slots hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.ops.losses import roi_loss, rpn_loss, smooth_l1
from jaxdet.types import RoiTargets, RpnTargets
from tests import laws


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_smooth_l1_is_a_parabola_near_zero_and_then_a_line(sigma):
    beta = 1 / sigma**2
    x = np.array([-5, -beta, -0.1 * beta, 0, 0.5 * beta, beta, 2.5], np.float32)
    expected = np.where(np.abs(x) < beta, 0.5 * sigma**2 * x**2, np.abs(x) - 0.5 * beta)
    np.testing.assert_allclose(smooth_l1(jnp.asarray(x), sigma=sigma), expected, rtol=1e-5)
    slope = jax.vmap(jax.grad(lambda x: smooth_l1(x, sigma=sigma)))(jnp.asarray(x))
    np.testing.assert_allclose(slope, np.clip(sigma**2 * x, -1, 1), rtol=1e-5)


def test_smooth_l1_has_a_finite_gradient_at_huge_differences():
    value, slope = jax.value_and_grad(lambda x: smooth_l1(x, sigma=3.0))(jnp.float32(1e30))
    assert np.isfinite(value)
    assert slope == 1


def rpn_case():
    logits = jnp.array([[0.5, -0.5], [2.0, 1.0], [0.0, 0.0], [-3.0, 4.0]])
    deltas = jnp.array([[0.1, 0, 0, 0], [1.0, 0, 0, -2.0], [9.0, 9, 9, 9], [7.0, 7, 7, 7]])
    return logits, deltas, RpnTargets(label=jnp.array([1, 0, -1, 1]), deltas=jnp.zeros((4, 4)).at[3].set(6.5))


def test_rpn_loss_computed_by_hand():
    logits, deltas, targets = rpn_case()
    objectness, box = rpn_loss(logits, deltas, targets, jnp.int32(40), sigma=3.0)
    # Cross-entropies of the sampled anchors 0 (object), 1 (background) and 3 (object)
    expected = (np.log1p(np.exp(1)) + np.log1p(np.exp(-1)) + np.log1p(np.exp(-7))) / 3
    np.testing.assert_allclose(objectness, expected, rtol=1e-6)
    # Positives 0 and 3 over all 3 sampled: 0.1 lies in the parabola, 0.5 four times on the line.
    np.testing.assert_allclose(box, (4.5 * 0.1**2 + 4 * (0.5 - 1 / 18)) / 3, rtol=1e-5)


def test_box_loss_with_the_papers_weight_and_normaliser():
    logits, deltas, targets = rpn_case()
    ours = rpn_loss(logits, deltas, targets, jnp.int32(40))
    papers = rpn_loss(logits, deltas, targets, jnp.int32(40), box_weight=10.0, box_normaliser="locations")
    assert papers[0] == ours[0]
    np.testing.assert_allclose(papers[1], ours[1] * 3 * 10 / 40, rtol=1e-6)


def roi_case():
    logits = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [5.0, 1.0, 1.0], [0.0, 9.0, 0.0]])
    deltas = jnp.arange(48.0).reshape(4, 3, 4) / 48
    targets = RoiTargets(
        boxes=jnp.zeros((4, 4)),
        label=jnp.array([2, 1, 0, 0]),
        deltas=jnp.zeros((4, 4)).at[0].set(2.0),
        valid=jnp.array([True, True, True, False]),
    )
    return logits, deltas, targets


def test_roi_loss_computed_by_hand():
    logits, deltas, targets = roi_case()
    class_loss, box = roi_loss(logits, deltas, targets, sigma=1.0)
    rows = np.asarray(logits, np.float64)
    cross_entropy = np.log(np.exp(rows).sum(1)) - rows[np.arange(4), [2, 1, 0, 0]]
    np.testing.assert_allclose(class_loss, cross_entropy[:3].mean(), rtol=1e-6)
    first = 2 - np.arange(8, 12) / 48  # class 2 of RoI 0, on the line
    second = np.arange(16, 20) / 48  # class 1 of RoI 1, in the parabola
    np.testing.assert_allclose(box, (np.sum(first - 0.5) + np.sum(0.5 * second**2)) / 3, rtol=1e-6)
    weighted = roi_loss(logits, deltas, targets, sigma=1.0, box_weight=2.5)
    np.testing.assert_allclose(weighted, (class_loss, 2.5 * box), rtol=1e-6)


def rpn_with_gradient(logits, deltas, label, target, valid):
    targets = RpnTargets(jnp.where(valid, label, -1), target)
    return jax.value_and_grad(lambda x: sum(rpn_loss(*x, targets, jnp.int32(40))))((logits, deltas))


def roi_with_gradient(logits, deltas, boxes, label, target, valid):
    targets = RoiTargets(boxes, label, target, valid)
    return jax.value_and_grad(lambda x: sum(roi_loss(*x, targets)))((logits, deltas))


def test_without_samples_loss_and_gradients_are_exactly_zero():
    logits, deltas, targets = rpn_case()
    args = logits * 1e30, deltas * 1e30, targets.label, targets.deltas, jnp.zeros(4, bool)
    for leaf in jax.tree.leaves(jax.jit(rpn_with_gradient)(*args)):
        np.testing.assert_array_equal(leaf, 0)
    logits, deltas, targets = roi_case()
    label = jnp.zeros(4, jnp.int32)
    args = logits * 1e30, deltas * 1e30, targets.boxes, label, targets.deltas, jnp.zeros(4, bool)
    for leaf in jax.tree.leaves(jax.jit(roi_with_gradient)(*args)):
        np.testing.assert_array_equal(leaf, 0)


def test_laws():
    for loss, (logits, deltas, targets), more in ((rpn_loss, rpn_case(), (jnp.int32(40),)), (roi_loss, roi_case(), ())):
        laws.assert_jit_law(loss, logits, deltas, targets, *more)
        laws.assert_vmap_law(loss, (logits, deltas, targets, *more), (-logits, 2 * deltas, targets, *more))


def test_padding_law():
    def read(result, slots):
        loss, gradients = result
        return loss, laws.rows(gradients, slots)

    mask = np.array([True, False, True, True, False, True])
    logits, deltas, targets = rpn_case()
    args = logits, deltas, targets.label, targets.deltas, jnp.ones(4, bool)
    laws.assert_padding_law(rpn_with_gradient, args, mask, range(5), read)
    logits, deltas, targets = roi_case()
    args = logits, deltas, targets.boxes, targets.label, targets.deltas, targets.valid
    laws.assert_padding_law(roi_with_gradient, args, mask, range(6), read)
