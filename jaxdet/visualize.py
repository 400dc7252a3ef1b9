"""Boxes with class names and scores drawn on pictures."""

import colorsys
import os
import pathlib
import unicodedata
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 8  # pixels between the images of a grid
LEGIBLE_SIDE = 480  # smaller pictures are enlarged by a whole number until their longer side has this many pixels


def draw(
    image: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    gt_boxes: np.ndarray = np.zeros((0, 4), np.float32),  # noqa: B008, never written to
) -> np.ndarray:
    """Draws detections in their class's colour with name and score, and ground truth as thin dashed lines.

    Line width and type grow with the picture. Labels look for a place where they hide no other label; where there is
    none, the better score lies on top. The type is Pillow's own, the same on every machine, and has ASCII only: accents
    are dropped, and a name in another script is shown as its number.

    Args:
      image: u8[H,W,3] RGB.
      boxes: f[n,4] in pixels of the image; scores f[n]; labels i[n] 1..K, label k is class_names[k-1].
      gt_boxes: f[m,4] ground truth to compare with.

    Returns:
      u8[f*H,f*W,3] RGB with a whole f >= 1: small pictures are enlarged so that the labels can be read.

    Raises:
      ValueError: a label outside 1..K.
    """
    labels = np.asarray(labels)
    if labels.size and not 1 <= labels.min() <= labels.max() <= len(class_names):
        raise ValueError(
            f"draw: labels must lie in 1..{len(class_names)}, got {labels.min()}..{labels.max()}; "
            "class_names leaves out the background."
        )
    factor = -(-LEGIBLE_SIDE // max(image.shape[:2]))
    height, width = image.shape[0] * factor, image.shape[1] * factor
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    line = max(2, round(max(height, width) / 240))
    font = ImageFont.load_default(max(13, max(height, width) / 45))

    order = np.argsort(np.asarray(scores), kind="stable")  # the best last, on top
    boxes = np.asarray(boxes, np.float64) * factor
    for i in order:
        pen.rectangle(_corners(boxes[i], width, height), outline=class_colour(labels[i]), width=line)
    for box in np.asarray(gt_boxes, np.float64) * factor:
        _dashed(pen, _corners(box, width, height), line)
    texts = [f"{_ascii(class_names[k - 1], k)} {score:.2f}" for k, score in zip(labels, scores, strict=True)]
    places = _place_labels(boxes[order[::-1]], [_text_size(font, texts[i]) for i in order[::-1]], width, height)
    for i, (left, top, right, bottom) in zip(order, places[::-1], strict=True):
        colour = class_colour(labels[i])
        pen.rectangle((left, top, right - 1, bottom - 1), fill=colour)
        pen.text((left + font.size / 5, (top + bottom) / 2), texts[i], fill=_ink(colour), font=font, anchor="lm")
    return np.asarray(picture)


def grid(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Puts pictures u8[H,W,3] of any sizes side by side on white, row by row, each in the middle of an equal cell."""
    height, width = np.max([image.shape[:2] for image in images], axis=0)
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top = GAP + (i // columns) * (height + GAP) + (height - image.shape[0]) // 2
        left = GAP + (i % columns) * (width + GAP) + (width - image.shape[1]) // 2
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def save_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes u8[H,W,3] RGB in the format of the path's suffix (.png, .jpg), making the folder."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=92)


def class_colour(label: int) -> tuple[int, int, int]:
    """Gives a class's RGB: hues a golden section apart, which come near again after 8 and 13; the shades part those."""
    k = int(label) - 1
    saturation, value = ((0.85, 1.0), (1.0, 0.7), (0.45, 1.0))[k // 8 % 3]
    red, green, blue = colorsys.hsv_to_rgb((0.02 + 0.61803398875 * k) % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _ascii(name, label):
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip() or f"class {label}"


def _ink(colour):
    """Black or white, whichever reads better on the colour (Rec. 601 luma)."""
    return (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 120 else (255, 255, 255)


def _corners(box, width, height):
    """First and last pixel that a continuous box covers, inside the picture and at least one pixel large."""
    x1, y1 = np.clip(np.round(box[:2]), 0, (width - 1, height - 1))
    x2, y2 = np.clip(np.round(box[2:]) - 1, (x1, y1), (width - 1, height - 1))
    return x1, y1, x2, y2


def _dashed(pen, corners, line):
    """A black hairline with white dashes, seen on any ground and unlike any class's colour."""
    x1, y1, x2, y2 = corners
    thin, dash = max(1, line // 2), 4 * line
    pen.rectangle(corners, outline=(0, 0, 0), width=thin)
    for x in np.arange(x1, x2, 2 * dash):
        for y in (y1, y2 - thin + 1):
            pen.rectangle((x, y, min(x + dash, x2), y + thin - 1), fill=(255, 255, 255))
    for y in np.arange(y1, y2, 2 * dash):
        for x in (x1, x2 - thin + 1):
            pen.rectangle((x, y, x + thin - 1, min(y + dash, y2)), fill=(255, 255, 255))


def _text_size(font, text):
    left, _, right, _ = font.getbbox(text)
    ascent, descent = font.getmetrics()
    return right - left + 0.4 * font.size, 1.1 * (ascent + descent)


def _place_labels(boxes, sizes, width, height):
    """Finds a place f[4] for each label, in order of importance: at its box, in the picture, on no earlier label."""
    placed = []
    for (x1, y1, x2, y2), (w, h) in zip(boxes, sizes, strict=True):
        left, right, middle = x1, x2 - w, (x1 + x2 - w) / 2
        above, below, top, bottom = y1 - h, y2, y1, y2 - h
        corners = [(left, above), (right, above), (left, below), (right, below)]
        inside = [(left, top), (right, top), (left, bottom), (right, bottom)]
        more = [(middle, above), (middle, below), (middle, (y1 + y2 - h) / 2)]
        more += [(x, y) for y in np.arange(top + h, bottom, h) for x in (left, right)]
        places = [_moved_inside(x, y, w, h, width, height) for x, y in corners + inside + more]
        placed.append(min(places, key=lambda place: sum(_overlap(place, other) for other in placed)))  # noqa: B023
    return placed


def _moved_inside(x, y, w, h, width, height):
    x, y = max(0, min(x, width - w)), max(0, min(y, height - h))
    return round(x), round(y), round(x + w), round(y + h)


def _overlap(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
