"""Decoding image files to RGB as a viewer shows them: any colour mode, 16 bits, transparency, EXIF rotation."""

import dataclasses
import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxdet.checks import InputError

MAX_PIXELS = 50_000_000
EXIF_ORIENTATION = 0x0112


@dataclasses.dataclass(frozen=True)
class DecodedImage:
    """A decoded image file.

    Attributes:
      pixels: u8[H,W,3] RGB as stored in the file.
      orientation: EXIF's, 1 to 8; 1 if the file has none.
      plain: the file is a JPEG (phones write MPO) or PNG of 8-bit RGB or grey: every decoder returns `pixels`.
    """

    pixels: np.ndarray
    orientation: int
    plain: bool

    def upright(self) -> np.ndarray:
        """Return the pixels rotated and mirrored by EXIF's orientation."""
        pixels = self.pixels.transpose(1, 0, 2) if self.orientation >= 5 else self.pixels
        if self.orientation in (3, 4, 7, 8):
            pixels = pixels[::-1]
        if self.orientation in (2, 3, 6, 7):
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(pixels)


def decode(source: Path | bytes, *, name: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode an image file to upright RGB u8[H,W,3].

    Args:
      source: a path, or the bytes of the file.
      name: of the image in error messages.
      max_pixels: larger images are refused before they are decoded.

    Raises:
      InputError: the file is unreadable, truncated, too large, or no image.
    """
    return read(source, name=name, max_pixels=max_pixels).upright()


def read(source: Path | bytes, *, name: str, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Decode an image file without applying its orientation. Args and errors as in `decode`."""
    try:
        encoded = source if isinstance(source, bytes) else Path(source).read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata and large images; max_pixels is our limit
            with Image.open(io.BytesIO(encoded)) as image:
                if image.width * image.height > max_pixels:
                    raise InputError(
                        f"image {name}: has {image.width} x {image.height} pixels, more than max_pixels = "
                        f"{max_pixels}; make it smaller or raise max_pixels."
                    )
                plain = image.format in ("JPEG", "MPO", "PNG") and image.mode in ("RGB", "L")
                plain = plain and "transparency" not in image.info
                orientation = image.getexif().get(EXIF_ORIENTATION, 1)
                return DecodedImage(_rgb(image, name), orientation if orientation in range(1, 9) else 1, plain)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"image {name}: cannot be read (no image in a known format); replace the file.") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"image {name}: {error}; make it smaller.") from error
    except FileNotFoundError as error:
        raise InputError(f"image {name}: there is no such file; check the path.") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise InputError(f"image {name}: cannot be read ({error}); replace the file.") from error


def _rgb(image: Image.Image, name: str) -> np.ndarray:
    """Convert an image of any mode to RGB u8[H,W,3]; transparent pixels are shown on white."""
    if image.mode.startswith("I;16"):
        grey = np.round(np.asarray(image).astype(np.float32) * np.float32(255 / 65535)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise InputError(
            f"image {name}: has 32-bit pixels (mode {image.mode}), whose white is unknown; convert it to 8 or 16 bits."
        )
    if "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa", "RGBA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))
