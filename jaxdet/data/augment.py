"""Augmentation of training images: what is changed at random, and how one image is changed."""

import dataclasses
import math

import numpy as np

from jaxdet.checks import InputError
from jaxdet.data.augment_colour import jitter_colours
from jaxdet.data.augment_crop import Window, crop_boxes, random_window, resize_window

TRIES = 10  # windows that are tried until one holds an object
STREAM = 2  # of the random numbers; buckets.train_plan uses 0 and 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How training images are changed at random, again in every epoch: the config section `augmentation`.

    Attributes:
      scale: (low, high) factor of the resize scale, log-uniform; what then exceeds the bucket is cut off.
      crop: least share of an image's height and width in a random window of its aspect ratio; 1 for none.
      min_object_area: an object of which a smaller share of the area is left is dropped; the others are clipped.
      brightness, contrast, saturation: factors are uniform in [1 - x, 1 + x].
      hue: turned by up to this share of the colour circle in either direction.

    Raises:
      InputError: scale is not 0 < low <= high.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    crop: float = 1.0
    min_object_area: float = 0.3
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self):
        low, high = self.scale
        if not 0 < low <= high < math.inf:
            raise InputError(f"augmentation.scale must be 0 < low <= high, got {self.scale}; (0.5, 1.5) is usual.")
        if not 0 < self.crop <= 1:
            raise InputError(f"augmentation.crop must be above 0 and at most 1, got {self.crop}; 0.6 is usual.")

    @property
    def moves(self) -> bool:
        """Whether boxes change."""
        return self.scale != (1.0, 1.0) or self.crop < 1

    @property
    def colours(self) -> bool:
        """Whether colours change."""
        return any((self.brightness, self.contrast, self.saturation, self.hue))

    @property
    def is_on(self) -> bool:
        return self.moves or self.colours


OFF = Augmentation()


@dataclasses.dataclass(frozen=True)
class View:
    """An augmented image, and the boxes in it."""

    resized: np.ndarray  # u8[H',W',3] fits into its bucket
    scale: float  # resized pixels per original pixel
    boxes: np.ndarray  # f32[n,4] those in the view, clipped; in original pixels from the corner of the view
    is_visible: np.ndarray  # bool[N] which of the boxes are in the view


def random_view(
    rng: np.random.Generator,
    image: np.ndarray,
    boxes: np.ndarray,
    *,
    is_object: np.ndarray,
    base_scale: float,
    bucket: tuple[int, int],
    options: Augmentation,
) -> View:
    """Return a random window of an image, resized, with its colours changed.

    It holds one of the objects and one of the other boxes, if the image has any. After TRIES windows without them the
    whole image is used.

    Args:
      image: u8[H,W,3].
      boxes: f32[N,4] objects to train on, and proposals, in pixels of the image.
      is_object: bool[N].
      base_scale: resize scale of the whole image.
      bucket: (height, width) that holds the resized image.
    """
    window, scale = Window(0, 0, *image.shape[:2]), base_scale
    clipped, is_visible = boxes, np.ones(len(boxes), bool)
    for _ in range(TRIES if options.moves else 0):
        candidate, candidate_scale = random_window(
            rng, image.shape[:2], bucket, base_scale=base_scale, scale=options.scale, crop=options.crop
        )
        moved, visible = crop_boxes(boxes, candidate, min_area=options.min_object_area)
        if all((visible & needed).any() or not needed.any() for needed in (is_object, ~is_object)):
            window, scale, clipped, is_visible = candidate, candidate_scale, moved, visible
            break
    resized = resize_window(image[window.slices], scale, bucket)
    if options.colours:
        limits = {name: getattr(options, name) for name in ("brightness", "contrast", "saturation", "hue")}
        resized = jitter_colours(rng, resized, **limits)
    return View(resized, scale, clipped[is_visible], is_visible)
