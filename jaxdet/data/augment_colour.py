"""Colour jitter: random brightness, contrast, saturation and hue, as one linear map of the pixels."""

import math

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601
YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)  # hue turns the plane of I and Q


def jitter_colours(
    rng: np.random.Generator,
    image: np.ndarray,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
) -> np.ndarray:
    """Return an image with random colours; four random numbers are used whatever the limits are.

    Args:
      image: u8[H,W,3] RGB.
      brightness, contrast, saturation: factors are uniform in [1 - x, 1 + x]; contrast is about the mean luma.
      hue: share of the colour circle, uniform in [-x, x].
    """
    bright, contrasted, saturated = (rng.uniform(1 - x, 1 + x) for x in (brightness, contrast, saturation))
    turned = hue_matrix(rng.uniform(-hue, hue))
    grey = np.ones((3, 1), np.float32) @ LUMA[None]
    colours = turned @ (saturated * np.eye(3) + (1 - saturated) * grey) * (contrasted * bright)
    mean = float(image.reshape(-1, 3).mean(axis=0) @ LUMA) * bright * (1 - contrasted)  # grey: no map but this moves it
    changed = image.astype(np.float32) @ colours.T.astype(np.float32) + np.float32(mean)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def hue_matrix(turn: float) -> np.ndarray:
    """Return the map f[3,3] of RGB that turns hues by a share of the colour circle and keeps the luma."""
    cosine, sine = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return np.linalg.inv(YIQ) @ rotation @ YIQ
