import cv2
import numpy as np
import pytest

from jaxdet.data.datasets.shape_drawing import CLASS_NAMES, background, mask, outline, patch, texture


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_outlines_touch_the_unit_square(name):
    for seed in range(20):
        points = outline(name, np.random.default_rng(seed))
        np.testing.assert_allclose(points.min(axis=0), 0, atol=1e-12)
        assert points.max() == 1
        assert points.max(axis=0).min() > 0.7


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_masks_cover_the_outline_exactly(name):
    points = outline(name, np.random.default_rng(0)) * 40.3 + (20.6, 31.2)
    area = patch(points, 100)
    inside, rim = mask(points, area, 2.0)
    assert inside.sum() == pytest.approx(cv2.contourArea(points.astype(np.float32)), rel=0.03)
    assert (rim <= inside).all()
    assert 0 < rim.sum() < inside.sum()
    drawn = np.zeros((100, 100), np.float32)
    drawn[area] = inside
    rows, columns = np.nonzero(drawn > 0.02)
    extent = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    np.testing.assert_allclose(extent, [*points.min(axis=0), *points.max(axis=0)], atol=1)


def test_shapes_beyond_the_border_are_clipped():
    points = outline("disc", np.random.default_rng(0)) * 40 - 15
    area = patch(points, 50)
    assert (area[0].start, area[1].start) == (0, 0)
    assert mask(points, area, 1.0)[0].shape == (area[0].stop, area[1].stop)


def test_textures_and_backgrounds_fill_their_patch():
    rng = np.random.default_rng(0)
    for _ in range(20):
        filled = texture(rng, 64, (slice(3, 20), slice(8, 40)))
        assert filled.shape == (17, 32, 3)
        assert filled.dtype == np.float32
        assert 0 <= filled.min() <= filled.max() <= 255
    ground = background(rng, 64)
    assert ground.shape == (64, 64, 3)
    assert ground.dtype == np.float32
    assert ground.std() > 10
