"""The metrics of an evaluation: the table and metrics.json."""

import io
import json
import re

import numpy as np
import pytest

from jaxdet.evaluation.metrics import (
    METRICS,
    VOC_SCORES,
    holds_metrics,
    print_table,
    summarize,
    write_metrics,
)
from jaxdet.evaluation.tables import GroundTruthTable
from jaxdet.io.output_folder import LIST
from tests.evaluation.conftest import NAMES, opened


@pytest.fixture
def tables(detections):
    boxes = detections.boxes
    truth = GroundTruthTable(np.array([0, 1, 1]), boxes[[0, 1, 1]], np.array([1, 1, 2]), np.array([False, True, False]))
    return detections, truth


def test_summary_counts_and_scores_each_class(tables):
    summary = summarize(*tables, NAMES)
    cat, plant, unseen = (summary["classes"][name] for name in NAMES)
    assert (cat["objects"], cat["difficult"], cat["detections"]) == (1, 1, 2)
    assert (cat["voc07@0.5"], plant["voc07@0.5"]) == (1.0, 0.0)
    assert np.isnan(unseen["voc10@0.5"]) and unseen["detections"] == 1
    assert summary["mAP"] == {"voc07@0.5": 0.5, "voc10@0.5": 0.5, "voc10@0.75": 0.5}
    assert summary["coco"]["AP50"] == 0.5
    assert [summary["classes"][name]["AP"] for name in NAMES[:2]] == [
        1.0,
        0.0,
    ]  # difficult counts
    assert np.isnan(unseen["AP"])


def test_iou_at_the_threshold_is_a_match_on_request(tables):
    detections, truth = tables
    detections.boxes[0] = [0, 0, 50, 25]  # half of its object
    for match_at_threshold, expected in ((False, 0.0), (True, 1.0)):
        summary = summarize(detections, truth, NAMES, match_at_threshold=match_at_threshold)
        cat = summary["classes"]["cat"]
        assert (cat["voc07@0.5"], cat["voc10@0.5"], cat["voc10@0.75"]) == (expected, expected, 0.0)


def test_the_table_in_a_log_is_plain_text_with_one_line_per_class(tables):
    stream = io.StringIO()
    print_table(summarize(*tables, (*NAMES[:2], "[bold]" + "x" * 60)), stream)
    text = stream.getvalue()
    assert "\x1b" not in text
    lines = [line.strip() for line in text.splitlines()]
    assert any(re.fullmatch(r"cat +1 +2 +1\.000 +1\.000 +1\.000", line) for line in lines)
    assert any(re.fullmatch(r"potted plant +1 +0 +0\.000 +0\.000 +0\.000", line) for line in lines)
    assert any(re.fullmatch(r"\[bold\]x{60} +0 +1 +- +- +-", line) for line in lines)
    assert any(re.fullmatch(r"mean +0\.500 +0\.500 +0\.500", line) for line in lines)
    assert "COCO: AP 0.500" in text


def test_the_metrics_file_is_strict_json_and_leaves_no_draft(tables, tmp_path):
    path = tmp_path / "new" / "metrics.json"
    write_metrics(opened(path.parent), summarize(*tables, NAMES))
    write_metrics(opened(path.parent), summarize(*tables, NAMES))
    read = json.loads(path.read_text(), parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert read["classes"]["unseen"]["voc07@0.5"] is None
    assert read["mAP"]["voc10@0.5"] == 0.5
    assert {p.name for p in path.parent.iterdir()} == {LIST, "metrics.json"}


def test_only_the_metrics_that_evaluate_writes_mark_its_folder(tmp_path):
    summary = {"mAP": dict.fromkeys(VOC_SCORES, 0.5), "coco": {}, "classes": {}}
    assert not holds_metrics(tmp_path)
    for other in ("", "[]", '{"mAP": 0.5}', '{"mAP": {}, "coco": {}, "classes": {}}', json.dumps(summary)[:-1]):
        (tmp_path / METRICS).write_text(other)
        assert not holds_metrics(tmp_path)
    (tmp_path / METRICS).write_text(json.dumps(summary))
    assert holds_metrics(tmp_path)
    write_metrics(opened(tmp_path / "new"), summary)
    assert holds_metrics(tmp_path / "new")
