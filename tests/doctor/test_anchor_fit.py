import dataclasses

import numpy as np
import pytest

from jaxdet.config.detector_fields import Anchors, PyramidAnchors
from jaxdet.doctor.anchor_fit import best_anchor_iou, grid_levels
from jaxdet.ops.anchors import grid_anchors
from jaxdet.ops.boxes_np import box_iou

ONE_LEVEL = Anchors(scales=(2.0, 4.0, 8.0), ratios=(0.5, 1.0, 2.0), convention="caffe")
PYRAMID = PyramidAnchors(sizes=(16.0, 32.0, 64.0, 128.0, 256.0), ratios=(0.5, 1.0, 2.0))


def random_boxes(count, height, width):
    corners = np.random.default_rng(0).uniform(0, 1, (count, 2, 2)) * (width, height)
    return np.concatenate([corners.min(1), corners.max(1) + 1], axis=1)


def on_the_grid(box, levels, height, width, *, cross_boundary):
    """The best IoU over all anchors, laid out cell by cell."""
    anchors = []
    for base, stride, cells in levels:
        unit = grid_anchors(np.zeros((1, 4), np.float32), tuple(cells[0].astype(int)), stride=1)  # (column, row) twice
        shifts = unit * np.tile(stride[0, ::-1], 2)
        anchors.append((shifts[:, None] + base).reshape(-1, 4))
    grid = np.concatenate(anchors)
    if not cross_boundary:
        grid = grid[(grid[:, :2] >= 0).all(1) & (grid[:, 2] <= width) & (grid[:, 3] <= height)]
    return box_iou(grid, box).max(initial=0)


@pytest.mark.parametrize("cross_boundary", [False, True])
@pytest.mark.parametrize("anchors", [ONE_LEVEL, PYRAMID], ids=["one level", "pyramid"])
def test_the_closed_form_finds_the_best_anchor_of_the_whole_grid(anchors, cross_boundary):
    height, width = 147, 211
    boxes = random_boxes(12, height, width)
    sizes = np.tile([float(height), float(width)], (len(boxes), 1))
    levels = grid_levels(anchors, sizes)
    best = best_anchor_iou(boxes, sizes, levels, cross_boundary=cross_boundary)
    expected = [on_the_grid(box, levels, height, width, cross_boundary=cross_boundary) for box in boxes]
    np.testing.assert_allclose(best, expected, atol=1e-12)


def test_an_anchor_larger_than_the_image_reaches_nothing_unless_it_may_cross_the_border():
    large = dataclasses.replace(ONE_LEVEL, scales=(32.0,))
    boxes, sizes = np.array([[0.0, 0.0, 300.0, 300.0]]), np.array([[300.0, 300.0]])
    levels = grid_levels(large, sizes)
    assert best_anchor_iou(boxes, sizes, levels, cross_boundary=False) == [0]
    assert best_anchor_iou(boxes, sizes, levels, cross_boundary=True) > 0.3


def test_no_objects_have_no_ious():
    none = np.zeros((0, 4)), np.zeros((0, 2))
    assert best_anchor_iou(*none, grid_levels(PYRAMID, none[1]), cross_boundary=True).shape == (0,)
