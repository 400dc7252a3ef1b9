"""Reports of an evaluation: the table and the files."""

import io
import json
import re
import urllib.parse

import numpy as np
import pytest

from jaxdet.evaluation.report import (
    METRICS,
    VOC_SCORES,
    comp4_files,
    holds_metrics,
    print_table,
    summarize,
    write_comp4,
    write_metrics,
)
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.io.output_folder import LIST, OutputFolder

NAMES = ("cat", "potted plant", "unseen")


def opened(folder):
    return OutputFolder(folder, cure="name another folder")


@pytest.fixture
def tables():
    boxes = np.array([[0, 0, 50, 50], [10, 20, 30.04, 40], [0, 0, 5, 5]], np.float32)
    detections = DetectionTable(np.array([0, 1, 1]), boxes, np.array([1, 1, 3]), np.array([0.9, 0.12345, 0.5]))
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


def test_result_files_hold_1_based_inclusive_pixels(tables, tmp_path):
    write_comp4(opened(tmp_path), comp4_files("test", NAMES), tables[0], ["2007_1", "2007_2"])
    assert sorted(p.name for p in tmp_path.glob("*.txt")) == sorted(f"comp4_det_test_{name}.txt" for name in NAMES)
    assert (tmp_path / "comp4_det_test_cat.txt").read_text().splitlines() == [
        "2007_1 0.900 1.0 1.0 50.0 50.0",
        "2007_2 0.123 11.0 21.0 30.0 40.0",
    ]
    assert (tmp_path / "comp4_det_test_potted plant.txt").read_text() == ""


def test_characters_of_a_class_name_that_no_file_name_has_are_encoded():
    names = ("cabinet/shelf", "a\\b", "potted plant", "étoile", "100%")
    assert comp4_files("test", names) == [
        "comp4_det_test_cabinet%2Fshelf.txt",
        "comp4_det_test_a%5Cb.txt",
        "comp4_det_test_potted plant.txt",
        "comp4_det_test_étoile.txt",
        "comp4_det_test_100%25.txt",
    ]


@pytest.mark.parametrize("name", ["my photo (5)", "100% %20", "a\tb\u2028c\u00a0d", "étoile", "2007_1", "caf\udce9 x"])
def test_image_names_survive_the_columns_of_result_files(tables, tmp_path, name, caplog):
    write_comp4(opened(tmp_path), comp4_files("test", NAMES), tables[0], [name, "2007_2"])
    text = (tmp_path / "comp4_det_test_cat.txt").read_text(encoding="utf-8")
    (first, *columns), _ = [line.split() for line in text.splitlines()]
    assert urllib.parse.unquote(first, errors="surrogateescape") == name
    assert columns == ["0.900", "1.0", "1.0", "50.0", "50.0"]
    assert ("percent-encoded, in 1 names" in caplog.text) == (first != name)


def test_only_the_metrics_that_evaluate_writes_mark_its_folder(tmp_path):
    summary = {"mAP": dict.fromkeys(VOC_SCORES, 0.5), "coco": {}, "classes": {}}
    assert not holds_metrics(tmp_path)
    for other in ("", "[]", '{"mAP": 0.5}', '{"mAP": {}, "coco": {}, "classes": {}}', json.dumps(summary)[:-1]):
        (tmp_path / METRICS).write_text(other)
        assert not holds_metrics(tmp_path)
    (tmp_path / METRICS).write_text(json.dumps(summary))
    assert holds_metrics(tmp_path)
    write_metrics(OutputFolder(tmp_path / "new", cure=""), summary)
    assert holds_metrics(tmp_path / "new")
