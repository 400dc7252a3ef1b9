"""Decoding image files to RGB as a viewer shows them: any colour mode, transparency, EXIF rotation; the formats."""

import dataclasses
import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxdet.checks import InputError
from jaxdet.data.deep_pixels import to_8_bits
from jaxdet.io.regular_file import read_regular

MAX_PIXELS = 50_000_000
# The only formats that are decoded, whatever a file is called. (Pillow hands PostScript to another program.)
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
# Their suffixes, in lower case: the files of a folder that are images.
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
# Suffixes of images that cannot be decoded, to be named rather than overlooked.
OTHER_SUFFIXES = (
    *(".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".svg", ".psd", ".eps", ".pdf", ".tga", ".ppm", ".pgm"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".raw", ".exr", ".hdr", ".dcm", ".ico"),
)
SIGNATURES = (  # (offset, bytes there, format) of files that are often given as photos
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypmsf1", "HEIF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftyp", "a video"),
    (0, b"\x00\x00\x00\x0cJXL", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cjP", "JPEG 2000"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"%PDF", "PDF"),
    (0, b"version https://git-lfs", "a Git LFS pointer without its content"),
    (0, b"<", "SVG or a web page"),
)
EXIF_ORIENTATION = 0x0112
BITS_PER_SAMPLE = 258  # TIFF's tag


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

    Of several frames (GIF, TIFF) the first is decoded. See deep_pixels for pixels of more than 8 bits.

    Args:
      source: a path, or the bytes of the file.
      name: of the image in error messages.
      max_pixels: larger images are refused before they are decoded.

    Raises:
      InputError: the file is unreadable, truncated, too large, no regular file, or of none of FORMATS.
    """
    return read(source, name=name, max_pixels=max_pixels).upright()


def read(source: Path | bytes, *, name: str, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Decode an image file without applying its orientation. Args and errors as in `decode`."""
    encoded = source if isinstance(source, bytes) else read_content(source, name=name, max_pixels=max_pixels)
    try:
        with open_image(encoded) as image:
            if image.width * image.height > max_pixels:
                raise InputError(
                    f"image {name}: has {image.width} x {image.height} pixels, more than max_pixels = "
                    f"{max_pixels}; make it smaller or raise max_pixels (predict.py --max_pixels=..., train.py "
                    "--config.dataset.max_pixels=...)."
                )
            plain = image.format in ("JPEG", "MPO", "PNG") and image.mode in ("RGB", "L")
            plain = plain and "transparency" not in image.info and not is_deep_colour(image, encoded)
            orientation = image.getexif().get(EXIF_ORIENTATION, 1)
            return DecodedImage(_rgb(image, encoded, name), orientation if orientation in range(1, 9) else 1, plain)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"image {name}: cannot be read ({_unidentified(encoded)}).") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise InputError(f"image {name}: has more pixels than Pillow opens ({most}); make it smaller.") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise InputError(f"image {name}: cannot be read ({error}); replace the file.") from error


def read_content(path: Path, *, name: str, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return the bytes of a file, at most those of max_pixels uncompressed 16-bit RGBA pixels and metadata.

    Args and errors as in `decode`.
    """
    try:
        return read_regular(path, max_bytes=8 * max_pixels + 2**26)
    except FileNotFoundError as error:
        raise InputError(f"image {name}: there is no such file; check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"image {name}: cannot be read ({reason}); replace the file.") from error


def open_image(encoded: bytes) -> Image.Image:
    """Open an image of one of FORMATS without decoding its pixels; UnidentifiedImageError for any other file."""
    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and large images; max_pixels is our limit
        return Image.open(io.BytesIO(encoded), formats=[name for name in FORMATS if name in Image.OPEN])


def _unidentified(encoded: bytes) -> str:
    """Return what a file is that Pillow does not open, and its cure."""
    if not encoded:
        return "the file is empty; replace the file"
    start = encoded.lstrip(b"\xef\xbb\xbf \t\r\n")[:32] if encoded[:1] in b"\xef \t\r\n<" else encoded[:32]
    for offset, signature, kind in SIGNATURES:
        if start[offset:].startswith(signature):
            return f"it is {kind}; convert it to JPEG or PNG"
    return f"no image in a known format: {', '.join(FORMATS)}; replace the file"


def is_deep_colour(image: Image.Image, encoded: bytes) -> bool:
    """Return whether a PNG or TIFF has 16 bits per channel and colour or alpha, which Pillow reduces to high bytes."""
    if image.mode.startswith(("I", "F")):
        return False
    if image.format == "PNG":
        return encoded[24] == 16  # the bit depth in its header
    bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (8,)) if image.format == "TIFF" else (8,)
    return max(bits) == 16


def _rgb(image: Image.Image, encoded: bytes, name: str) -> np.ndarray:
    """Convert an image of any mode to RGB u8[H,W,3]; transparent pixels are shown on white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return np.repeat(to_8_bits(np.asarray(image), name=name)[..., None], 3, axis=2)
    if is_deep_colour(image, encoded):
        image.load()  # raises where the file is truncated
        deep = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
        if deep is not None and deep.dtype == np.uint16 and deep.ndim == 3 and deep.shape[2] in (3, 4):
            rgb = to_8_bits(deep[..., 2::-1], name=name)
            if deep.shape[2] == 3:
                return rgb
            alpha = (deep[..., 3:].astype(np.uint16) >> 8).astype(np.uint8)
            image = Image.fromarray(np.concatenate([rgb, alpha], axis=2), "RGBA")
    if "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa", "RGBA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))
