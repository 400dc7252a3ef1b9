"""Anchors against py-faster-rcnn's nine as continuous boxes, torchvision 0.29 (golden/ops.npz) and
simple-faster-rcnn-pytorch (golden/sf_detector.npz).
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.ops.anchors import anchor_valid, base_anchors, grid_anchors
from tests import laws

goldens = pathlib.Path(__file__).parents[1] / "golden"

PY_FASTER_RCNN = [
    (-84, -40, 100, 56),
    (-176, -88, 192, 104),
    (-360, -184, 376, 200),
    (-56, -56, 72, 72),
    (-120, -120, 136, 136),
    (-248, -248, 264, 264),
    (-36, -80, 52, 96),
    (-80, -168, 96, 184),
    (-168, -344, 184, 360),
]


def test_base_anchors_equal_py_faster_rcnn():
    anchors = base_anchors()
    assert anchors.dtype == np.float32
    np.testing.assert_array_equal(anchors, PY_FASTER_RCNN)


def test_grid_equals_the_original_code():
    golden = np.load(goldens / "targets.npz")
    np.testing.assert_array_equal(grid_anchors(base_anchors(), (37, 50), stride=16), golden["anchors"])


def test_torchvision_convention_equals_torchvision():
    golden = np.load(goldens / "ops.npz")
    base = base_anchors(convention="torchvision")
    grid = grid_anchors(base, (38, 63), stride=16)
    assert grid.dtype == np.float32
    np.testing.assert_array_equal(grid, golden["anchors_torchvision/grid_38x63_stride16"])


def test_simple_faster_rcnn_convention_equals_simple_faster_rcnn():
    golden = np.load(goldens / "sf_detector.npz")
    base = base_anchors(scales=(2, 4, 8), convention="simple_faster_rcnn")
    grid = grid_anchors(base, (12, 18), stride=16)
    np.testing.assert_allclose(grid, golden["eval/anchors"], rtol=0, atol=2e-5)


def test_unknown_convention_is_an_error():
    with pytest.raises(
        InputError, match="anchors.convention must be one of caffe, .*, got 'cafe'; did you mean 'caffe'"
    ):
        base_anchors(convention="cafe")


def test_other_strides_scales_and_ratios():
    np.testing.assert_array_equal(base_anchors(stride=8, scales=(2,), ratios=(1,)), [[-4, -4, 12, 12]])
    assert base_anchors(scales=(2, 4, 8, 16)).shape == (12, 4)
    assert base_anchors(scales=(2,), ratios=(0.5, 1), convention="torchvision").shape == (2, 4)


def test_grid_order_is_row_column_anchor():
    grid = grid_anchors(base_anchors(), (3, 5), stride=16).reshape(3, 5, 9, 4)
    np.testing.assert_array_equal(grid[2, 3] - grid[0, 0], np.tile([48, 32, 48, 32], (9, 1)))


def test_anchor_valid_marks_the_cells_of_the_image():
    expected = np.zeros((4, 6, 2), bool)
    expected[:3, :2] = True
    for dtype in (jnp.int32, jnp.float32):
        valid = anchor_valid((4, 6), jnp.array([3, 2], dtype), 2)
        np.testing.assert_array_equal(valid, expected.reshape(-1))


def test_laws():
    def valid(size):
        return anchor_valid((4, 6), size, 2)

    laws.assert_jit_law(valid, jnp.array([3, 2]))
    laws.assert_vmap_law(valid, (jnp.array([3, 2]),), (jnp.array([4, 6]),))
    # The valid anchors of a wider grid are those of the narrow one, in the same order.
    narrow = grid_anchors(base_anchors(), (3, 2), stride=16)
    wide = grid_anchors(base_anchors(), (4, 6), stride=16)
    np.testing.assert_array_equal(wide[jax.device_get(anchor_valid((4, 6), jnp.array([3, 2]), 9))], narrow)
