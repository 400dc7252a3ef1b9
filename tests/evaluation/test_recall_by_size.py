"""Recall by size against pycocotools and by hand."""

from jaxdet.evaluation import recall_by_size as module
from jaxdet.evaluation.recall_by_size import recall_by_size
from tests.evaluation.random_split import CONTENT, load_split, small_split


def test_equals_pycocotools(monkeypatch):
    monkeypatch.setattr(module, "SIDES", CONTENT["side_edges"])
    *split, expected = load_split("apart")
    rows = recall_by_size(*split, score_threshold=0.0)
    assert [row["objects"] for row in rows] == expected["pycocotools"]["objects_by_size"]
    assert [row["found"] for row in rows] == expected["pycocotools"]["found_by_size"]
    assert all(row["found_at_threshold"] == row["found"] for row in rows)


def test_a_range_starts_at_its_lower_end_and_ranges_without_objects_are_left_out():
    objects = [(0, 102.4, 1), (200, 210, 1), (300, 302, 1), (400, 500, 1, True), (10_000, 60_000, 1)]
    rows = recall_by_size(*small_split(objects, [(0, 102.4, 1, 0.9), (200, 210, 1, 0.3)]), score_threshold=0.5)
    assert rows == [
        {"from": 0, "to": 16, "objects": 2, "found": 1, "found_at_threshold": 0},
        {"from": 32, "to": 64, "objects": 1, "found": 1, "found_at_threshold": 1},
        {"from": 512, "to": None, "objects": 1, "found": 0, "found_at_threshold": 0},
    ]
