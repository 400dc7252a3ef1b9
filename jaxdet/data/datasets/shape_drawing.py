"""Drawing of the generated demo set: outlines of the classes, textured fills, cluttered backgrounds.

Every random number is independent of the class: colour, texture and size do not reveal it.
"""

import math

import cv2
import numpy as np

CLASS_NAMES = ("cross", "disc", "square", "triangle")
OVERSAMPLING = 4  # outlines are drawn this much larger and averaged down


def outline(name: str, rng: np.random.Generator) -> np.ndarray:
    """Return vertices f64[V,2] (x, y) of a slightly rotated and stretched shape: top left at 0, longer side 1."""
    points = _upright_outline(name)
    angle = rng.uniform(-0.35, 0.35)
    cos, sin = np.cos(angle), np.sin(angle)
    points = points @ np.array([[cos, sin], [-sin, cos]]) * (rng.uniform(0.85, 1.15), 1.0)
    points -= points.min(axis=0)
    return points / points.max()


def _upright_outline(name: str) -> np.ndarray:
    if name == "disc":
        return _around(96)
    if name == "square":
        return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    if name == "triangle":
        return _around(3)
    arm = 0.36  # half the width of the cross's arms
    quarter = np.array([(arm, -arm), (arm, -1), (-arm, -1)])
    turns = [np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), k) for k in range(4)]
    return np.concatenate([quarter @ turn for turn in turns])


def _around(count: int) -> np.ndarray:
    """Return points at equal angles on the unit circle, the first at the top."""
    angles = np.arange(count) * 2 * np.pi / count - np.pi / 2
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def patch(points: np.ndarray, size: int) -> tuple[slice, slice]:
    """Return the rows and columns of an image of size x size pixels that a polygon touches."""
    left, top = np.maximum(np.floor(points.min(axis=0)).astype(int) - 1, 0).tolist()
    right, bottom = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, size).tolist()
    return slice(top, bottom), slice(left, right)


def mask(points: np.ndarray, area: tuple[slice, slice], rim_width: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the coverage of a patch by a polygon and by its rim, each f32[h,w] in 0..1, edges smoothed.

    Args:
      points: f64[V,2] in pixels of the image, continuous: pixel column c covers c <= x < c + 1.
      area: rows and columns of the patch.
      rim_width: pixels, at least 1/4.
    """
    (top, bottom), (left, right) = ((side.start, side.stop) for side in area)
    inside = np.zeros(((bottom - top) * OVERSAMPLING, (right - left) * OVERSAMPLING), np.uint8)
    # In cv2 whole numbers are pixel centres; coordinates have 8 fractional bits.
    corners = np.round(((points - (left, top)) * OVERSAMPLING - 0.5) * 256).astype(np.int32)
    cv2.fillPoly(inside, [corners], 255, cv2.LINE_8, shift=8)
    rim = np.zeros_like(inside)
    thickness = round(rim_width * 2 * OVERSAMPLING)  # the outer half is cut off below
    cv2.polylines(rim, [corners], True, 255, thickness, cv2.LINE_8, shift=8)
    coverage = [
        cv2.resize(layer, (right - left, bottom - top), interpolation=cv2.INTER_AREA) for layer in (inside, rim)
    ]
    fill, edge = (layer.astype(np.float32) / np.float32(255) for layer in coverage)
    return fill, np.minimum(fill, edge)


def colour(rng: np.random.Generator) -> np.ndarray:
    """Return a random colour f32[3] in 0..255, of any hue, from dull to bright."""
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(0.25, 1), rng.uniform(0.35, 1)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0] * 255


def rim_colour(rng: np.random.Generator) -> np.ndarray:
    """Return a random dark or pale colour f32[3] in 0..255, which contrasts with most backgrounds."""
    return colour(rng) * np.float32(0.4) + np.float32(rng.choice((0, 153)))


def texture(rng: np.random.Generator, size: int, area: tuple[slice, slice]) -> np.ndarray:
    """Return a patch f32[h,w,3] of two random colours: plain, gradient, stripes, checks, dots or marble."""
    y, x = (side.astype(np.float32) for side in np.ogrid[area])
    angle, phase = rng.uniform(0, math.pi), rng.uniform(0, 2 * math.pi)
    wave = 2 * math.pi / rng.uniform(0.03, 0.07) / size
    along = x * math.cos(angle) + y * math.sin(angle)  # Python floats keep it float32, numpy's would not
    across = y * math.cos(angle) - x * math.sin(angle)
    kind = rng.integers(6)
    if kind == 0:
        blend = np.zeros_like(along)
    elif kind == 1:
        blend = 0.5 + 0.5 * np.sin(along * (wave / 12) + phase)
    elif kind == 5:
        blend = _smooth_noise(rng, size, 14)[area]
    else:
        stripes = np.sin(along * wave + phase)
        if kind == 2:
            blend = 0.5 + stripes * 2
        else:
            bars = np.sin(across * wave + phase)
            blend = 0.5 + stripes * bars * 4 if kind == 3 else (stripes + bars - 0.7) * 3
    first, second = colour(rng), colour(rng)
    return first + (second - first) * np.clip(blend, 0, 1)[..., None]


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a cluttered background f32[size,size,3]: colour clouds, a texture, and rods, arcs and shards."""
    clouds = np.stack([_smooth_noise(rng, size, int(rng.integers(3, 8))) for _ in range(3)], axis=2) * np.float32(255)
    everywhere = (slice(0, size), slice(0, size))
    image = np.float32(0.55) * clouds + np.float32(0.35) * texture(rng, size, everywhere) + np.float32(15)
    for _ in range(rng.integers(8, 25)):
        _clutter(image, rng, size)
    return np.clip(image + rng.standard_normal(image.shape, np.float32) * np.float32(5), 0, 255)


def _clutter(image: np.ndarray, rng: np.random.Generator, size: int) -> None:
    """Draw one distractor, which belongs to no class: a rod, an arc or a jagged shard."""
    shade = tuple(map(float, colour(rng)))
    centre, length = rng.uniform(0, size, 2), rng.uniform(0.05, 0.2) * size
    thickness = int(rng.integers(1, 4))
    kind = rng.integers(3)
    if kind == 0:
        angle = rng.uniform(0, np.pi)
        end = centre + length * 1.5 * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(image, tuple(centre.astype(int)), tuple(end.astype(int)), shade, thickness, cv2.LINE_8)
    elif kind == 1:
        turn, span = rng.uniform(0, 360), rng.uniform(60, 200)
        axes = (int(length * 0.6) + 1, int(length * rng.uniform(0.3, 0.6)) + 1)
        cv2.ellipse(image, tuple(centre.astype(int)), axes, turn, 0, span, shade, thickness, cv2.LINE_8)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 4))
        reach = rng.uniform(0.1, 0.35, (4, 1)) * length
        shard = centre + reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(image, [shard.astype(np.int32)], shade, cv2.LINE_8)


def _smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Return random values f32[size,size] in 0..1 that change over size / cells pixels."""
    coarse = rng.random((cells, cells), np.float32)
    return np.clip(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)
