"""Recall of the objects of each size."""

from typing import Any

import numpy as np

from jaxdet.evaluation.matching import Matching
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.ops.boxes_np import box_area

SIDES = (0, 16, 32, 64, 96, 128, 256, 512, np.inf)  # pixels; COCO's small objects end at 32, its medium ones at 96


def recall_by_size(
    detections: DetectionTable, ground_truth: GroundTruthTable, matching: Matching, *, score_threshold: float
) -> list[dict[str, Any]]:
    """Count the objects of each size and those found; difficult ones are left out.

    The size of an object is the side of the square of its area, in original pixels.

    Returns:
      A row for each range of sides that has objects: "from" and "to" (None: no end), "objects", "found" by a detection
      of any score, and "found_at_threshold" by one of score >= score_threshold.
    """
    side = np.sqrt(box_area(ground_truth.boxes))
    found, found_at_threshold = np.zeros((2, len(side)), bool)
    found[matching.truth[matching.right]] = True
    found_at_threshold[matching.truth[matching.right & (detections.scores >= score_threshold)]] = True
    rows = []
    for low, high in zip(SIDES, SIDES[1:], strict=False):
        of_size = ~ground_truth.difficult & (side >= low) & (side < high)
        if of_size.any():
            row = {"from": low, "to": high if np.isfinite(high) else None, "objects": int(of_size.sum())}
            row |= {"found": int(found[of_size].sum()), "found_at_threshold": int(found_at_threshold[of_size].sum())}
            rows.append(row)
    return rows
