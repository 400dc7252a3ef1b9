"""Figures of images with their boxes."""

import base64
import io
import re

import numpy as np
from PIL import Image

from jaxdet.evaluation.analysis import analyse
from jaxdet.evaluation.report.pictures import figure
from jaxdet.evaluation.tide import KINDS
from tests.evaluation.random_split import small_split

PIXELS = np.full((50, 1000, 3), 128, np.uint8)


def drawn(objects, detections, kind):
    detections, truth, _ = small_split(objects, detections)
    analysis = analyse(detections, truth, ("cat", "<b>"), default_threshold=0.5, match_at_threshold=False)
    return figure(PIXELS, 0, "a<b", analysis, truth, ("cat", "<b>"), kind=KINDS.index(kind))


def test_colours_tell_right_wrong_found_and_lost():
    html = drawn(
        [(0, 100, 1), (200, 300, 1), (400, 500, 2, True), (600, 700, 1)],
        [(0, 100, 1, 0.9), (0, 90, 1, 0.8), (400, 500, 2, 0.85), (600, 700, 1, 0.7)],
        "duplicate",
    )
    assert re.findall(r'class="box (\w+)', html) == ["object", "lost", "object", "object", "right", "wrong", "right"]
    assert "<b>not found: cat</b>" in html and "<b>cat 0.80 · duplicate</b>" in html
    assert "a&lt;b<br>duplicate: cat 0.80</figcaption>" in html
    assert 'style="left:20.00%;top:0.00%;width:10.00%;height:20.00%"' in html


def test_names_are_escaped_and_many_errors_are_counted():
    html = drawn([(0, 10, 1)], [(0, 10, 1, 0.5), *((100 * i, 100 * i + 10, 2, 0.9) for i in range(1, 8))], "background")
    assert "&lt;b&gt; 0.90, &lt;b&gt; 0.90" in html and "and 3 more" in html
    assert "<b> 0.90" not in html


def test_the_image_is_a_small_jpeg():
    html = drawn([(0, 10, 1)], [], "missed")
    data = re.search(r'src="data:image/jpeg;base64,([^"]+)"', html)[1]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (480, 24)
    assert "missed: cat</figcaption>" in html
