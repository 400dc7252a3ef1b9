"""Colours change as their names say, and greys have no hue."""

import colorsys

import numpy as np
import pytest

from jaxdet.data.augment_colour import LUMA, hue_matrix, jitter_colours

NONE = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


def image():
    return np.random.default_rng(0).integers(60, 180, (8, 9, 3), np.uint8)


def jittered(picture, seed=1, **limits):
    return jitter_colours(np.random.default_rng(seed), picture, **(NONE | limits))


def test_without_limits_the_image_is_unchanged():
    np.testing.assert_array_equal(jittered(image()), image())


def test_brightness_multiplies_every_pixel():
    factor = np.random.default_rng(1).uniform(0.8, 1.2)
    np.testing.assert_allclose(jittered(image(), brightness=0.2), image() * factor, atol=0.51)


def test_contrast_keeps_the_mean_luma():
    before, after = image() @ LUMA, jittered(image(), contrast=0.4) @ LUMA
    assert after.mean() == pytest.approx(before.mean(), abs=0.3)
    assert after.std() != pytest.approx(before.std(), rel=0.01)


@pytest.mark.parametrize("limits", [{"saturation": 0.5}, {"hue": 0.1}])
def test_saturation_and_hue_keep_the_luma_and_leave_greys(limits):
    np.testing.assert_allclose(jittered(image(), **limits) @ LUMA, image() @ LUMA, atol=1.0)
    grey = np.repeat(image()[..., :1], 3, axis=2)
    np.testing.assert_allclose(jittered(grey, **limits), grey, atol=1)
    assert np.abs(jittered(image(), **limits).astype(int) - image()).max() > 3


def test_a_hue_turns_by_the_share_of_the_circle():
    red = np.array([0.6, 0.4, 0.4])
    hue = colorsys.rgb_to_hsv(*np.clip(hue_matrix(1 / 3) @ red, 0, 1))[0]
    assert min(abs(hue - 1 / 3), abs(hue - 2 / 3)) < 0.06
    np.testing.assert_allclose(hue_matrix(0.2) @ hue_matrix(-0.2), np.eye(3), atol=1e-6)


def test_extremes_are_clipped():
    bright = jittered(np.full((2, 2, 3), 250, np.uint8), seed=3, brightness=0.9)
    assert bright.dtype == np.uint8
    assert bright.max() <= 255
