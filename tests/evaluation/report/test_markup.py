"""Pieces of HTML."""

import math

from jaxdet.evaluation.report.markup import bar, number, paragraph, section, table


def test_text_is_escaped():
    assert paragraph('<b> & "c"') == "<p>&lt;b&gt; &amp; &quot;c&quot;</p>"
    assert "<h2>&lt;i&gt;</h2><p>x</p>" in section("a", "<i>", "<p>x</p>")


def test_a_table_names_columns_rows_and_the_mean():
    html = table(["class", "AP"], [["cat", "0.5"]], foot=["mean", "0.5"])
    assert "<th scope=col>class</th><th scope=col>AP</th>" in html
    assert "<tr><th scope=row>cat</th><td>0.5</td></tr>" in html
    assert '<tr class="mean"><th scope=row>mean</th>' in html


def test_a_missing_number_is_a_dash():
    assert [number(value) for value in (0.12345, 1, None, math.nan)] == ["0.123", "1.000", "–", "–"]
    assert number(0.5, 1) == "0.5"


def test_a_bar_is_as_long_as_its_share():
    assert 'class="bar wrong"' in bar(0.25, "wrong") and "width:25.0%" in bar(0.25, "wrong")
    assert "width:0.0%" in bar(math.nan, "wrong")
