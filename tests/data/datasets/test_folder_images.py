"""Images of a folder as they are stored; tests/data/datasets/test_devkit.py prepares whole folders."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from jaxdet.data.datasets.folder_images import SkippedImage, read_images
from jaxdet.data.datasets.folder_splits import choose_images
from jaxdet.data.datasets.formats import open_folder

CAT = ("cat", 11, 6, 30, 40)


def read(devkit, *names):
    """Return the used images of the split train with these names, and the reason for each skipped one."""
    devkit.split("train", *names)
    images = choose_images(open_folder(str(devkit.folder)), "train").images
    read = list(read_images(images, ("cat",), annotated=True, max_pixels=10_000))
    used = [image for image in read if not isinstance(image, SkippedImage)]
    return used, {image.listed: image.reason for image in read if isinstance(image, SkippedImage)}


def pixels_of(image):
    """Decode the stored bytes as a decoder does that knows no EXIF."""
    return np.array(Image.open(io.BytesIO(image.encoded)).convert("RGB"))


def test_pipes_and_devices_are_skipped_and_named(devkit):
    names = ("good", "pipe", "zero", "noxml")
    for name in names:
        devkit.image(name)
        devkit.annotation(name, CAT)
    for name, link in (
        ("JPEGImages/pipe.jpg", ""),
        ("JPEGImages/zero.jpg", "/dev/zero"),
        ("Annotations/noxml.xml", ""),
    ):
        (devkit.folder / name).unlink()
        (devkit.folder / name).symlink_to(link) if link else os.mkfifo(devkit.folder / name)
    used, skipped = read(devkit, *names)
    assert [image.name for image in used] == ["good"]
    assert skipped == {
        "pipe": "cannot be read (is a named pipe, not a file); replace the file",
        "zero": "cannot be read (is a device, not a file); replace the file",
        "noxml": "annotation cannot be read (is a named pipe, not a file)",
    }


def rotated(devkit, name, orientation, size, shape=(60, 80)):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    devkit.image(name, Image.fromarray(pixels), suffix=".png", exif=exif)
    devkit.annotation(name, ("cat", 2, 3, 20, 30), size=size)
    return pixels


def test_exif_rotation_follows_the_annotation(devkit):
    pixels = rotated(devkit, "upright", 6, (80, 60))
    rotated(devkit, "stored", 6, (60, 80))
    rotated(devkit, "neither", 6, (61, 80))
    rotated(devkit, "unsaid", 6, None)
    square = rotated(devkit, "square", 8, (50, 50), shape=(50, 50))
    rotated(devkit, "halfturn", 3, (60, 80))
    used, skipped = read(devkit, "upright", "stored", "neither", "unsaid", "square", "halfturn")
    assert [(image.name, image.size) for image in used] == [
        ("upright", (80, 60)),
        ("stored", (60, 80)),
        ("square", (50, 50)),
        ("halfturn", (60, 80)),
    ]
    for image, expected in zip(used, [np.rot90(pixels, -1), pixels, np.rot90(square), pixels[::-1, ::-1]], strict=True):
        np.testing.assert_array_equal(pixels_of(image), expected)
    assert skipped["neither"] == "is 80 x 60, but its annotation says 80 x 61"
    assert "no size" in skipped["unsaid"]


@pytest.mark.parametrize("kind", ["grey", "cmyk", "sixteen", "alpha", "palette"])
def test_odd_colour_modes_are_stored_as_shown(devkit, kind):
    base = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)).resize((80, 60))
    if kind == "sixteen":
        image = Image.fromarray(np.array(base.convert("L")).astype(np.uint16) * 257)
        expected = np.array(base.convert("L").convert("RGB"))
    else:
        image = base.convert({"grey": "L", "cmyk": "CMYK", "alpha": "RGBA", "palette": "P"}[kind])
        expected = np.array(image.convert("RGB"))
    jpeg = kind in ("grey", "cmyk")
    devkit.image("a", image, suffix=".jpg" if jpeg else ".png")
    devkit.annotation("a", CAT)
    ((stored,), _) = read(devkit, "a")
    assert np.abs(pixels_of(stored).astype(int) - expected).mean() <= (4 if jpeg else 0)
