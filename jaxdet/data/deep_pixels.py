"""Pixels of more than 8 bits reduced to 8; thermal and 12-bit images, else nearly uniform, are stretched."""

import logging
import threading

import numpy as np

log = logging.getLogger(__name__)

WHITE = 65535  # of 16-bit pixels
TAILS = (0.1, 99.9)  # percentiles: single hot or dead pixels do not set the range
SAMPLES = 1_000_000  # pixels that the percentiles are taken of
_warned = threading.Event()


def to_8_bits(pixels: np.ndarray, *, name: str = "an image") -> np.ndarray:
    """Return u8 of the shape of `pixels`, which are u16, i32 or f32 [H,W] or [H,W,C].

    Whole numbers from 0 to 65535 that span at least half of that range keep their brightness: 65535 becomes 255. Any
    others are stretched: their own range, without a thousandth of the pixels at each end, becomes 0 to 255, for all
    channels together. A warning says so, once per process, with the image's `name`. NaN and infinities become 0.

    Raises:
      ValueError: no pixel is a finite number.
    """
    finite = np.isfinite(pixels)
    if not finite.any():
        raise ValueError("no pixel is a finite number")
    values = pixels.ravel() if finite.all() else pixels[finite]
    darkest, brightest = float(values.min()), float(values.max())
    low, high = np.percentile(values[:: -(-values.size // SAMPLES)], TAILS).tolist()
    if high <= low:  # nearly all pixels are equal
        low, high = darkest, brightest
    is_16_bit = pixels.dtype.kind in "iu" and darkest >= 0 and brightest <= WHITE
    if is_16_bit and (high == low or high - low >= WHITE / 2):
        low, high = 0, WHITE
    else:
        _warn_stretched(name)
    scaled: np.ndarray = np.where(finite, pixels, low).astype(np.float32 if is_16_bit else np.float64)
    return np.round(np.clip((scaled - low) * (255 / ((high - low) or 1)), 0, 255)).astype(np.uint8)


def _warn_stretched(name: str) -> None:
    if _warned.is_set():
        return
    _warned.set()
    log.warning(
        "%s: images of more than 8 bits that use less than half of their range, or have no fixed white (thermal, "
        "12-bit, float), are stretched: each one's darkest value becomes 0 and its brightest 255; further ones are not "
        "named",
        name,
    )
