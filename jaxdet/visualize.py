"""Drawing of boxes with class names and scores on images."""

import colorsys
import io
import math
import unicodedata
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 8  # pixels between the images of a grid
# Smaller images are enlarged by a whole number until their longer and shorter sides have this many pixels.
LEGIBLE_SIDE, LEGIBLE_SHORT_SIDE = 480, 128
MOST_PIXELS = 16_000_000  # of an image that is enlarged for its shorter side
CELL = 1000  # pixels; larger images are reduced in a grid

Colour = tuple[int, int, int]  # RGB
Place = tuple[int, int, int, int]  # left, top, right, bottom
Corners = tuple[float, float, float, float]  # x1, y1, x2, y2


def draw(
    image: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray | None,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    gt_boxes: np.ndarray = np.zeros((0, 4), np.float32),  # noqa: B008, never written to
) -> np.ndarray:
    """Draw detections in the colour of their class with name and score, and ground truth as thin dashed lines.

    Line width and font size grow with the image, in strips with their shorter side. Labels are placed to avoid overlap;
    where that is impossible, the better score is on top. The font is Pillow's own, the same on every machine, and has
    ASCII only: accents are dropped, and a name in another script is shown as its number.

    Args:
      image: u8[H,W,3] RGB.
      boxes: f[n,4] in pixels of the image.
      scores: f[n]; None: the boxes have only names.
      labels: i[n] 1..K; label k is class_names[k-1].
      class_names: K names without background.
      gt_boxes: f[m,4] ground truth to compare with.

    Returns:
      u8[f*H,f*W,3] RGB with a whole f >= 1: small images are enlarged so that the labels can be read.

    Raises:
      ValueError: a label outside 1..K.
    """
    labels = np.asarray(labels)
    if labels.size and not 1 <= labels.min() <= labels.max() <= len(class_names):
        raise ValueError(
            f"draw: labels must lie in 1..{len(class_names)}, got {labels.min()}..{labels.max()}; "
            "class_names leaves out the background."
        )
    # Enlarge a small image.
    factor = _enlargement(*image.shape[:2])
    height, width = image.shape[0] * factor, image.shape[1] * factor
    canvas = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    side = min(max(height, width), 2 * min(height, width))
    line = max(2, round(side / 240))
    font_size = max(13, side / 45)
    font = ImageFont.load_default(font_size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow is built with FreeType

    # Draw the boxes, the best last, on top.
    order = np.arange(len(labels)) if scores is None else np.argsort(np.asarray(scores), kind="stable")
    boxes = np.asarray(boxes, np.float64) * factor
    for i in order:
        pen.rectangle(_corners(boxes[i], width, height), outline=class_colour(int(labels[i])), width=line)
    for box in np.asarray(gt_boxes, np.float64) * factor:
        _dashed(pen, _corners(box, width, height), line)

    # Place the labels in order of score, draw the best last.
    names = [_ascii(class_names[int(k) - 1], int(k)) for k in labels]
    endings = [""] * len(names) if scores is None else [f" {score:.2f}" for score in scores]
    room = width - 0.4 * font_size
    texts = [_fitted(font, name, ending, room) for name, ending in zip(names, endings, strict=True)]
    sizes = [_text_size(font, font_size, texts[i]) for i in order[::-1]]
    places = _place_labels(boxes[order[::-1]], sizes, width, height)
    for i, place in zip(order, places[::-1], strict=True):
        _write_label(pen, place, texts[i], font, class_colour(int(labels[i])))
    return np.asarray(canvas)


def _write_label(
    pen: ImageDraw.ImageDraw, place: Place, text: str, font: ImageFont.FreeTypeFont, colour: Colour
) -> None:
    left, top, right, bottom = place
    pen.rectangle((left, top, right - 1, bottom - 1), fill=colour)
    start = (left + font.size / 5, (top + bottom) / 2)
    pen.text(start, text, fill=_text_colour(colour), font=font, anchor="lm")


def grid(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Return images u8[H,W,3] of any sizes row by row on white, each centred in a cell of equal size.

    Images with a side of more than CELL pixels are reduced to it.
    """
    images = [_reduced(image) for image in images]
    height, width = np.max([image.shape[:2] for image in images], axis=0)
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top = GAP + (i // columns) * (height + GAP) + (height - image.shape[0]) // 2
        left = GAP + (i % columns) * (width + GAP) + (width - image.shape[1]) // 2
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def _reduced(image: np.ndarray) -> np.ndarray:
    scale = CELL / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def encode_png(image: np.ndarray) -> bytes:
    """Return an image u8[H,W,3] RGB as the content of a PNG file."""
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "PNG")
    return encoded.getvalue()


def encode_jpeg(image: np.ndarray) -> bytes:
    """Return an image u8[H,W,3] RGB as the content of a JPEG file."""
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def class_colour(label: int) -> Colour:
    """Return the RGB colour of a class.

    Hues are a golden section apart. They come close again after 8 and 13 classes, which have other shades.
    """
    k = label - 1
    saturation, value = ((0.85, 1.0), (1.0, 0.7), (0.45, 1.0))[k // 8 % 3]
    red, green, blue = colorsys.hsv_to_rgb((0.02 + 0.61803398875 * k) % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _enlargement(height: int, width: int) -> int:
    """Return the whole factor by which a small image is enlarged before it is drawn on."""
    for_short_side = min(-(-LEGIBLE_SHORT_SIDE // min(height, width)), math.isqrt(MOST_PIXELS // (height * width)))
    return max(1, -(-LEGIBLE_SIDE // max(height, width)), for_short_side)


def _fitted(font: ImageFont.FreeTypeFont, name: str, score: str, room: float) -> str:
    """Return name and score, the name cut off where both are wider than the room in pixels."""
    while len(name) > 1 and font.getlength(name + score) > room:
        name = f"{name.removesuffix('..')[:-1]}.."
        if len(name) <= 3:
            break
    return name + score


def _ascii(name: str, label: int) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip() or f"class {label}"


def _text_colour(background: Colour) -> Colour:
    """Return black or white, whichever is easier to read on the background (Rec. 601 luma)."""
    return (0, 0, 0) if np.dot(background, (0.299, 0.587, 0.114)) > 120 else (255, 255, 255)


def _corners(box: np.ndarray, width: int, height: int) -> Corners:
    """Return the first and last pixel of a continuous box, inside the image and at least one pixel large."""
    x1, y1 = np.clip(np.round(box[:2]), 0, (width - 1, height - 1))
    x2, y2 = np.clip(np.round(box[2:]) - 1, (x1, y1), (width - 1, height - 1))
    return float(x1), float(y1), float(x2), float(y2)


def _dashed(pen: ImageDraw.ImageDraw, corners: Corners, line: int) -> None:
    """Draw a thin black line with white dashes, visible on any background and unlike any class's colour."""
    x1, y1, x2, y2 = corners
    thin, dash = max(1, line // 2), 4 * line
    pen.rectangle(corners, outline=(0, 0, 0), width=thin)
    for x in np.arange(x1, x2, 2 * dash):
        for y in (y1, y2 - thin + 1):
            pen.rectangle((x, y, min(x + dash, x2), y + thin - 1), fill=(255, 255, 255))
    for y in np.arange(y1, y2, 2 * dash):
        for x in (x1, x2 - thin + 1):
            pen.rectangle((x, y, x + thin - 1, min(y + dash, y2)), fill=(255, 255, 255))


def _text_size(font: ImageFont.FreeTypeFont, size: float, text: str) -> tuple[float, float]:
    """Return width and height of a label."""
    left, _, right, _ = font.getbbox(text)
    ascent, descent = font.getmetrics()
    return right - left + 0.4 * size, 1.1 * (ascent + descent)


def _place_labels(boxes: np.ndarray, sizes: Sequence[tuple[float, float]], width: int, height: int) -> list[Place]:
    """Return a place per label, in the given order: at its box, inside the image, clear of earlier labels.

    Of such places it is one that covers least of the box: beside it where there is no room above and below.
    """
    placed: list[Place] = []
    for (x1, y1, x2, y2), (w, h) in zip(boxes, sizes, strict=True):
        left, right, middle = x1, x2 - w, (x1 + x2 - w) / 2
        above, below, top, bottom = y1 - h, y2, y1, y2 - h
        corners = [(left, above), (right, above), (left, below), (right, below)]
        inside = [(left, top), (right, top), (left, bottom), (right, bottom)]
        beside = [(x, y) for y in (top, (y1 + y2 - h) / 2) for x in (x2, x1 - w)]
        other = [(middle, above), (middle, below), (middle, (y1 + y2 - h) / 2)]
        other += [(x, y) for y in np.arange(top + h, bottom, h) for x in (left, right)]
        places = [_moved_inside(x, y, w, h, width, height) for x, y in corners + beside + inside + other]
        box = round(x1), round(y1), round(x2), round(y2)

        def cost(place: Place, box: Place = box) -> tuple[int, int]:
            return sum(_overlap(place, earlier) for earlier in placed), _overlap(place, box)

        placed.append(min(places, key=cost))
    return placed


def _moved_inside(x: float, y: float, w: float, h: float, width: int, height: int) -> tuple[int, int, int, int]:
    x, y = max(0, min(x, width - w)), max(0, min(y, height - h))
    return round(x), round(y), round(x + w), round(y + h)


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
