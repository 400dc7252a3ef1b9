"""Selections against torchvision 0.29 (golden/ops.npz) and, for random boxes, the plain greedy loop."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdet import ops
from tests import laws

golden = np.load(pathlib.Path(__file__).parents[1] / "golden" / "ops.npz")
nms = jax.jit(ops.nms, static_argnames=("iou_threshold", "max_outputs", "tile"))

# As callers write them; the file stores them rounded to float32.
THRESHOLDS = {"random": 0.5, "clustered": 0.7, "clustered_low": 0.3, "degenerate": 0.5, "single": 0.5, "ties": 0.5}


def golden_case(name):
    boxes, scores = jnp.asarray(golden[f"nms/{name}/boxes"]), jnp.asarray(golden[f"nms/{name}/scores"])
    return boxes, scores, jnp.ones(scores.shape, bool)


def greedy(boxes, scores, valid, threshold):
    """Select by the plain loop, which compares float32 IoUs with a float64 threshold as torchvision does."""
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    selected = []
    for i in np.argsort(-scores, kind="stable"):
        if not valid[i]:
            continue
        for j in selected:
            side = np.minimum(boxes[i, 2:], boxes[j, 2:]) - np.maximum(boxes[i, :2], boxes[j, :2])
            intersection = np.prod(np.maximum(side, 0))
            if intersection > 0 and float(intersection / (area[i] + area[j] - intersection)) > threshold:
                break
        else:
            selected.append(i)
    return np.array(selected, np.int32)


def assert_selects(result, expected, max_outputs):
    index, valid = map(np.asarray, result)
    expected = expected[:max_outputs]
    np.testing.assert_array_equal(index[: len(expected)], expected)
    np.testing.assert_array_equal(index[len(expected) :], 0)
    np.testing.assert_array_equal(valid, np.arange(max_outputs) < len(expected))


# The tile of CPUs, and for two cases that of accelerators.
@pytest.mark.parametrize(("name", "tile"), [*((name, 64) for name in THRESHOLDS), ("clustered", 1024), ("ties", 1024)])
def test_selection_equals_torchvision(name, tile):
    boxes, scores, valid = golden_case(name)
    result = nms(boxes, scores, valid, iou_threshold=THRESHOLDS[name], max_outputs=500, tile=tile)
    assert_selects(result, golden[f"nms/{name}/keep"], 500)


@pytest.mark.parametrize("max_outputs", [1, 64, 65])
def test_max_outputs_keeps_the_first(max_outputs):
    boxes, scores, valid = golden_case("clustered")
    result = nms(boxes, scores, valid, iou_threshold=0.7, max_outputs=max_outputs)
    assert_selects(result, golden["nms/clustered/keep"], max_outputs)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(0.0, 64), (0.3, 3), (0.5, 8), (0.7, 8)]))
def test_equals_the_greedy_loop(seed, threshold_and_tile):
    threshold, tile = threshold_and_tile
    # Whole-pixel boxes: every area is exact, so that equal IoUs and IoUs equal to the threshold are frequent.
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 12, (40, 2))
    boxes = np.concatenate([corner, corner + rng.integers(-1, 10, (40, 2))], axis=1).astype(np.float32)
    scores = rng.integers(-3, 4, 40).astype(np.float32)
    valid = rng.random(40) < 0.9
    result = nms(
        jnp.asarray(boxes), jnp.asarray(scores), jnp.asarray(valid), iou_threshold=threshold, max_outputs=30, tile=tile
    )
    assert_selects(result, greedy(boxes, scores, valid, threshold), 30)


@pytest.mark.parametrize(("threshold", "width", "kept"), [(0.5, 5, True), (0.7, 7, True), (0.3, 3, False)])
def test_iou_equal_to_the_threshold(threshold, width, kept):
    # Not above, so kept; but the float32 nearest to 3/10 lies above 0.3, and torchvision suppresses there.
    boxes = jnp.array([[0, 0, 10, 10], [0, 0, width, 10]], jnp.float32)
    _, valid = nms(boxes, jnp.array([2.0, 1.0]), jnp.ones(2, bool), iou_threshold=threshold, max_outputs=2)
    assert bool(valid[1]) == kept


def test_more_outputs_than_boxes_and_nothing_valid():
    boxes = jnp.array([[0, 0, 10, 10], [20, 20, 30, 30]], jnp.float32)
    scores = jnp.array([0.1, 0.9])
    result = nms(boxes, scores, jnp.ones(2, bool), iou_threshold=0.5, max_outputs=5)
    assert_selects(result, np.array([1, 0]), 5)
    nothing = nms(boxes, scores, jnp.zeros(2, bool), iou_threshold=0.5, max_outputs=5)
    assert_selects(nothing, np.array([], np.int32), 5)


def test_chain_of_overlaps_within_one_tile():
    # Each box overlaps the next only: every second one is selected, after as many rounds as there are links.
    left = np.arange(0, 50, dtype=np.float32) * 4
    boxes = np.stack([left, np.zeros(50), left + 10, np.full(50, 10)], axis=1).astype(np.float32)
    scores = np.linspace(1, 0, 50).astype(np.float32)
    valid = jnp.ones(50, bool)
    result = nms(jnp.asarray(boxes), jnp.asarray(scores), valid, iou_threshold=0.4, max_outputs=50)
    assert_selects(result, np.arange(0, 50, 2), 50)


def test_error_for_a_wrong_shape_says_what_to_pass():
    with pytest.raises(ValueError, match=r"nms: boxes must be float32\[N,4\], got float32\[2, 3, 4\]; pass one"):
        ops.nms(jnp.zeros((2, 3, 4)), jnp.zeros((2, 3)), jnp.ones((2, 3), bool), iou_threshold=0.5, max_outputs=5)


def test_laws():
    function = functools.partial(ops.nms, iou_threshold=0.5, max_outputs=40, tile=32)
    boxes, scores, valid = (leaf[:200] for leaf in golden_case("clustered"))
    laws.assert_jit_law(function, boxes, scores, valid)
    # Images that stop after different numbers of tiles.
    alike = np.broadcast_to(boxes[:1], boxes.shape)
    laws.assert_vmap_law(
        function, (boxes, scores, valid), (alike, scores[::-1], valid), (boxes, scores, jnp.zeros_like(valid))
    )

    mask = np.random.default_rng(0).permutation(np.arange(300) < 200)

    def read(result, slots):
        index, selected = result
        rank = np.cumsum(mask, dtype=np.int32) - 1  # the padded call returns slots, the other one their ranks
        return np.where(selected, rank[index], 0).astype(np.int32), selected

    laws.assert_padding_law(function, (boxes, scores, valid), mask, (0, 1, 2), read)
