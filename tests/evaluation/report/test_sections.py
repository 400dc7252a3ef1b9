"""The sections show what metrics.json and report.json hold."""

import re

import pytest

from jaxdet.evaluation.report import sections
from tests.evaluation.report.split import NAMES, analysed_split


@pytest.fixture(scope="module")
def split():
    analysis, summary, _ = analysed_split()
    return analysis.numbers, summary


def cells(html):
    rows = re.findall(r"<tr.*?</tr>", html)
    return [[re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_average_precisions_of_classes_and_their_mean(split):
    numbers, summary = split
    rows = cells(sections.average_precisions(summary, numbers))
    cat, f1 = summary["classes"]["cat"], numbers["best_f1"]["classes"]["cat"]
    aps = [f"{cat[name]:.3f}" for name in ("voc10@0.5", "voc10@0.75", "voc07@0.5", "AP")]
    counts = [str(cat["objects"]), str(cat["detections"])]
    assert rows[1] == ["cat", *counts, *aps, f"{f1['f1']:.3f}", f"{f1['threshold']:.2f}"]
    assert rows[-1][3] == f"{summary['mAP']['voc10@0.5']:.3f}" and rows[-1][6] == f"{summary['coco']['AP']:.3f}"


def test_errors_of_each_kind(split):
    kinds = split[0]["tide"]["kinds"]
    rows = cells(sections.errors(split[0]))
    shown = [(row[1], row[3], row[4]) for row in rows[1:]]
    assert shown == [(f"{k['dAP']:.3f}", str(k["count_at_threshold"]), str(k["count"])) for k in kinds.values()]


def test_the_matrix_shows_the_named_classes_and_background(split):
    matrix = split[0]["confusion"]["matrix"]
    rows = cells(sections.confusion(split[0], (NAMES[0], NAMES[2])))
    expected = [[str(matrix[i][j] or "") for j in (0, 2, 3)] for i in (0, 2, 3)]
    assert [row[1:] for row in rows[1:]] == expected


def test_a_curve_for_each_class_with_objects(split):
    numbers, summary = split
    empty = summary | {"classes": summary["classes"] | {"cat": summary["classes"]["cat"] | {"objects": 0}}}
    assert sections.curves(numbers, summary, NAMES).count("<svg") == 3
    assert sections.curves(numbers, empty, NAMES).count("<svg") == 2


def test_scores_without_a_right_detection(split):
    best = {"all": dict.fromkeys(("threshold", "f1", "precision", "recall"))}
    assert "no threshold is best" in sections.scores(split[0] | {"best_f1": best})
    assert "F1 is highest" in sections.scores(split[0])


def test_sizes_and_seconds():
    row = {"from": 512, "to": None, "objects": 4, "found": 3, "found_at_threshold": 1}
    numbers = {"recall_by_size": [row], "score_threshold": 0.5}
    assert cells(sections.sizes(numbers))[1] == ["512 and more", "4", "0.250 ", "0.750 "]
    assert cells(sections.speed({"detection": 2.0}, 4))[1] == ["detection", "2.0", "500.0", ""]
    assert cells(sections.speed({"detection": 2.0}, 0))[1] == ["detection", "2.0", "", ""]
