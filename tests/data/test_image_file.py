import io
import os
import struct
import subprocess
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import jaxdet
from jaxdet.checks import InputError
from jaxdet.data.image_file import SUFFIXES, decode, read

RNG = np.random.default_rng(0)
IMAGE = Image.fromarray(RNG.integers(0, 256, (3, 4, 3), np.uint8)).resize((40, 30))
PIXELS = np.array(IMAGE)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_a_colour_image_is_unchanged(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(IMAGE))
    np.testing.assert_array_equal(decode(tmp_path / "a.png", name="a.png"), PIXELS)
    assert read(encoded(IMAGE), name="a").plain


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_and_palette_images_become_rgb(mode):
    image = IMAGE.convert(mode)
    np.testing.assert_array_equal(decode(encoded(image), name="a"), np.array(image.convert("RGB")))


def test_a_cmyk_jpeg_equals_its_rgb_version():
    smooth = IMAGE.resize((160, 120))
    got = decode(encoded(smooth.convert("CMYK"), "JPEG", quality=95), name="a")
    assert np.abs(got.astype(int) - np.array(smooth)).mean() < 6
    assert not read(encoded(smooth.convert("CMYK"), "JPEG"), name="a").plain


def test_16_bit_grey_spans_black_to_white():
    levels = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    got = decode(cv2.imencode(".png", levels)[1].tobytes(), name="a")
    np.testing.assert_array_equal(got, np.repeat(np.array([[0, 1, 128, 255]], np.uint8)[..., None], 3, axis=2))


def test_16_bit_colour_is_reduced_to_its_high_bytes():
    wide = PIXELS.astype(np.uint16) * 257
    np.testing.assert_array_equal(decode(cv2.imencode(".png", wide[..., ::-1])[1].tobytes(), name="a"), PIXELS)


def test_transparent_pixels_become_white():
    image = IMAGE.convert("RGBA")
    image.putalpha(0)
    assert (decode(encoded(image), name="a") == 255).all()
    image.putalpha(255)
    np.testing.assert_array_equal(decode(encoded(image), name="a"), PIXELS)
    palette = IMAGE.convert("P")
    transparent = encoded(palette, transparency=palette.getpixel((0, 0)))
    assert (decode(transparent, name="a")[0, 0] == 255).all()


GRADIENT = np.linspace(0, 1, 60 * 80).reshape(60, 80)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((GRADIENT * 4095).astype(np.uint16), "PNG"),  # a 12-bit camera
        ((7000 + GRADIENT * 2000).astype(np.uint16), "PNG"),  # thermal
        ((60_000 + GRADIENT * 4000).astype(np.uint16), "TIFF"),
        ((-300 + GRADIENT * 700).astype(np.int32), "TIFF"),
        ((GRADIENT * 4095).astype(">u2"), "TIFF"),
        ((GRADIENT * 1e-3).astype(np.float32), "TIFF"),
        ((GRADIENT * 1e30).astype(np.float32), "TIFF"),
    ],
)
def test_deep_images_use_all_grey_levels(values, kind):
    data = encoded(Image.fromarray(values), kind)
    pixels = decode(data, name="a")
    assert np.abs(pixels[..., 0] - GRADIENT * 255).max() < 2
    assert (pixels == pixels[..., :1]).all()
    assert not read(data, name="a").plain


@pytest.mark.parametrize(("suffix", "channels"), [(".png", 3), (".tiff", 3), (".png", 4)])
def test_12_bit_colour_uses_all_levels(suffix, channels):
    values = np.stack([GRADIENT * 4095, GRADIENT[::-1] * 2000, GRADIENT * 0, GRADIENT * 0 + 65535], axis=2)
    bgr = values[..., [2, 1, 0, 3]][..., :channels].astype(np.uint16)
    data = cv2.imencode(suffix, bgr)[1].tobytes()
    want = values[..., :3] * (255 / 4095)
    assert np.abs(decode(data, name="a") - want).max() < 2
    assert not read(data, name="a").plain


@pytest.mark.parametrize("suffix", [".jpg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".avif"])
def test_every_listed_format_is_decoded(suffix):
    assert suffix in SUFFIXES
    kind = Image.registered_extensions()[suffix]
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow has no {kind}")
    smooth = IMAGE.resize((160, 120))
    got = decode(encoded(smooth, kind), name="a")
    assert np.abs(got.astype(int) - np.array(smooth)).mean() < 8


def test_the_first_frame_of_an_animation_is_decoded():
    black, white = Image.new("RGB", (8, 6)), Image.new("RGB", (8, 6), "white")
    for kind in ("GIF", "WEBP", "TIFF"):
        data = encoded(black, kind, save_all=True, append_images=[white])
        assert (decode(data, name="a") == 0).all()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is HEIC; convert it to JPEG or PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\nshowpage\n", "it is PostScript"),
        (b"%PDF-1.4\n", "it is PDF"),
        (b"\xff\x0a1234", "it is JPEG XL"),
        (b"\n <svg></svg>", "it is SVG or a web page"),
        (b"", "the file is empty"),
        (b"nothing", "no image in a known format: JPEG, PNG"),
        (encoded(IMAGE, "PPM"), "no image in a known format"),
        (encoded(IMAGE, "ICO"), "no image in a known format"),
    ],
)
def test_files_of_other_formats_are_named(data, kind):
    with pytest.raises(InputError, match=rf"image x.jpg: cannot be read \({kind}"):
        decode(data, name="x.jpg")


def test_postscript_is_given_to_no_other_program(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "check_call", None)  # Pillow starts Ghostscript by it
    monkeypatch.setattr(subprocess, "Popen", None)
    picture = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\nshowpage\n%%EOF\n"
    binary = struct.pack("<IIIIIIIH", 0xC6D3D0C5, 32, len(picture), 0, 0, 0, 0, 0xFFFF) + b"\0\0" + picture
    for content in (picture, binary):
        (tmp_path / "photo.jpg").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            decode(tmp_path / "photo.jpg", name="photo.jpg")


def test_pillow_opens_files_in_one_place_only():
    """There the formats are limited."""
    files = [file for file in Path(jaxdet.__file__).parent.rglob("*.py") if " Image.open(" in file.read_text()]
    assert [file.name for file in files] == ["image_file.py"]


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(InputError, match="x.jpg: cannot be read .is a named pipe, not a file"):
        decode(tmp_path / "x.jpg", name="x.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(orientation):
    """Rotating the upright image as a camera of that orientation stores it, and back."""
    stored = {
        1: PIXELS,
        2: PIXELS[:, ::-1],
        3: PIXELS[::-1, ::-1],
        4: PIXELS[::-1],
        5: PIXELS.transpose(1, 0, 2),
        6: np.rot90(PIXELS),  # shown by a clockwise quarter turn
        7: PIXELS[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(PIXELS, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(decode(data, name="a"), PIXELS)
    np.testing.assert_array_equal(read(data, name="a").pixels, stored)


def header_only(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds no pixels: decoding it could only fail."""
    chunks = b""
    for kind, body in ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b"")):
        chunks += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("width", [30_000, 9_000, 60_000])  # Pillow itself would warn, say nothing, refuse
def test_the_size_is_checked_before_decoding(width):
    with pytest.raises(InputError, match=r"image big.png: .*pixels.*make it smaller"):
        decode(header_only(width, 6_000), name="big.png")


def test_max_pixels_limits_the_size():
    with pytest.raises(InputError, match="image a: has 40 x 30 pixels, more than max_pixels = 1199; make"):
        decode(encoded(IMAGE), name="a", max_pixels=1199)
    assert decode(encoded(IMAGE), name="a", max_pixels=1200).shape == (30, 40, 3)


@pytest.mark.parametrize("data", [b"", b"not an image", encoded(IMAGE.resize((400, 300)), "JPEG")[:-200]])
def test_unreadable_and_truncated_files_are_named(data):
    with pytest.raises(InputError, match="image bad.jpg: cannot be read"):
        decode(data, name="bad.jpg")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="image gone.jpg: there is no such file"):
        decode(tmp_path / "gone.jpg", name="gone.jpg")
