"""Charts are well-formed SVG with their values in the right places."""

import xml.etree.ElementTree as xml

import pytest

from jaxdet.evaluation.report.charts import curve, mirrored_histogram


def test_a_curve_runs_from_the_left_edge_to_the_right_one_and_marks_a_point():
    svg = xml.fromstring(
        curve([0, 0.5, 1], [1, 0.5, 0], name='<"a">', x_name="recall", y_name="precision", point=(0.5, 0.5))
    )
    assert svg.get("aria-label") == '<"a">'
    (line,) = svg.findall("path[@class='curve']")
    (x0, y0), (x1, y1), (x2, y2) = (map(float, pair.split()) for pair in line.get("d")[1:].split("L"))
    assert x0 < x1 < x2 <= 220 and 0 < y0 < y1 < y2 < 180
    (point,) = svg.findall("circle")
    assert (float(point.get("cx")), float(point.get("cy"))) == (x1, y1)
    assert not xml.fromstring(curve([0], [1], name="", x_name="", y_name="", point=None)).findall("circle")


def test_right_bars_rise_and_wrong_ones_hang_from_one_line():
    svg = xml.fromstring(mirrored_histogram([0, 0.5, 1], [1, 100], [0, 100], name="n", mark=0.5, x_name="score"))
    right, wrong = (
        [(float(bar.get("y")), float(bar.get("height"))) for bar in svg.findall(f"rect[@class='{kind}']")]
        for kind in ("right", "wrong")
    )
    middle = wrong[0][0]
    assert [y + height for y, height in right] == pytest.approx([middle] * 2, abs=0.1)
    assert [y for y, _ in wrong] == [middle] * 2
    assert 0 < right[0][1] < right[1][1] == wrong[1][1] and wrong[0][1] == 0
    assert "0.50 to 1.00: 100 wrong" in [title.text for title in svg.iter("title")]


def test_a_histogram_without_counts_has_no_bars_to_see():
    svg = xml.fromstring(mirrored_histogram([0, 1], [0], [0], name="n", mark=0.5, x_name="score"))
    assert {float(bar.get("height")) for bar in svg.iter("rect")} == {0}
