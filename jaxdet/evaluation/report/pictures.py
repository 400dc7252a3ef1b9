"""Images with their objects and detections, drawn by the browser over a small JPEG."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from jaxdet.evaluation.analysis import Analysis
from jaxdet.evaluation.report.markup import escape
from jaxdet.evaluation.tables import GroundTruthTable
from jaxdet.evaluation.tide import KINDS, MISSED, NO_ERROR

LONG_SIDE, QUALITY = 480, 80  # of the JPEG: 20 to 60 kB
MOST_ERRORS = 4  # named in a caption
SHORT_KINDS = ("class", "box", "class and box", "duplicate", "background")


def figure(
    pixels: np.ndarray,
    image: int,
    name: str,
    analysis: Analysis,
    ground_truth: GroundTruthTable,
    class_names: Sequence[str],
    *,
    kind: int,
) -> str:
    """Return a figure of image number `image`, u8[H,W,3], and a caption with its errors of a kind.

    Detections that are ignored, as they match a difficult object, are left out.
    """
    size = pixels.shape[:2]
    errors, detections = analysis.errors, analysis.detections
    boxes, named = [], []

    # Draw the objects first, so that detections are above them.
    is_matched = np.zeros(len(ground_truth.image), bool)
    is_matched[analysis.matching.truth[analysis.matching.right]] = True
    for i in np.flatnonzero(ground_truth.image == image):
        word = class_names[ground_truth.labels[i] - 1]
        lost = not is_matched[i] and not ground_truth.difficult[i]
        label = f"not found: {word}" if lost else ""
        boxes.append(_box(ground_truth.boxes[i], size, "lost" if lost else "object", label))
        if kind == MISSED and errors.missed[i]:
            named.append(word)

    # Draw the detections, the best last.
    rows = np.flatnonzero((detections.image == image) & ~analysis.matching.ignored)
    for i in rows[np.argsort(detections.scores[rows], kind="stable")]:
        error = errors.kind[i]
        label = f"{class_names[detections.labels[i] - 1]} {detections.scores[i]:.2f}"
        if error == kind:
            named.insert(0, label)
        wrong = "" if error == NO_ERROR else f" · {SHORT_KINDS[error]}"
        boxes.append(_box(detections.boxes[i], size, "wrong" if wrong else "right", label + wrong))

    others = f" and {len(named) - MOST_ERRORS} more" if len(named) > MOST_ERRORS else ""
    caption = f"{escape(name)}<br>{KINDS[kind]}: {escape(', '.join(named[:MOST_ERRORS]) + others)}"
    source = f'<img src="data:image/jpeg;base64,{_jpeg(pixels)}" alt="{escape(name)}">'
    return f'<figure><div class="picture">{source}{"".join(boxes)}</div><figcaption>{caption}</figcaption></figure>'


def _box(box: np.ndarray, size: tuple[int, int], style: str, label: str) -> str:
    """Return a box in percent of the image; at the edges its label is inside."""
    height, width = size
    x1, y1, x2, y2 = np.clip(np.asarray(box, float) / (width, height, width, height), 0, 1) * 100
    place = f"left:{x1:.2f}%;top:{y1:.2f}%;width:{x2 - x1:.2f}%;height:{y2 - y1:.2f}%"
    side = f"{' top' if y1 < 8 else ''}{' bottom' if y2 > 92 else ''}{' end' if x1 > 60 else ''}"
    text = f"<b>{escape(label)}</b>" if label else ""
    return f'<div class="box {style}{side}" style="{place}">{text}</div>'


def _jpeg(pixels: np.ndarray) -> str:
    """Return a small JPEG of an image as base64."""
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((LONG_SIDE, LONG_SIDE))
    image.save(buffer, "JPEG", quality=QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()
