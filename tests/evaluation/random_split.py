"""The random splits of golden/evaluation.json as tables, with what other packages compute from them."""

import json
from typing import Any

import numpy as np

from jaxdet.evaluation.matching import Matching, match_detections
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from tests.golden.files import GOLDEN

CLASSES = 3
CONTENT = json.loads((GOLDEN / "evaluation.json").read_text())
SCORE_THRESHOLD = CONTENT["score_threshold"]


def load_split(name: str) -> tuple[DetectionTable, GroundTruthTable, Matching, dict[str, Any]]:
    """Return a split's tables, their matching at IoU 0.5 and the packages' results: "apart" or "overlapping"."""
    split = CONTENT[name]
    objects, rows = np.array(split["objects"]), np.array(split["detections"])
    truth = table(GroundTruthTable, objects, np.zeros(len(objects), bool))
    detections = table(DetectionTable, rows, rows[:, 6])
    return detections, truth, match(detections, truth), split


def table(kind, rows, last):
    """Return a table of rows (image, x1, y1, x2, y2, label, ...) and its last column."""
    rows = np.reshape(rows, (-1, np.shape(rows)[-1]))
    return kind(rows[:, 0].astype(np.int32), rows[:, 1:5], rows[:, 5].astype(np.int32), np.array(last))


def match(detections, truth, *, at_threshold=False):
    return match_detections(detections, truth, iou_threshold=0.5, at_threshold=at_threshold)


def small_split(objects, detections):
    """Return tables and matching of one image, of objects (x1, x2, label[, difficult]) and (x1, x2, label, score).

    All boxes are 10 pixels high.
    """
    truth = np.array([[0, o[0], 0, o[1], 10, o[2]] for o in objects], float).reshape(-1, 6)
    rows = np.array([[0, d[0], 0, d[1], 10, d[2]] for d in detections], float).reshape(-1, 6)
    truth = table(GroundTruthTable, truth, np.array([len(o) == 4 and o[3] for o in objects], bool))
    tables = table(DetectionTable, rows, np.array([d[3] for d in detections], float)), truth
    return *tables, match(*tables)
