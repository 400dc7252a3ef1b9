"""Scores of right and wrong detections."""

from typing import Any

import numpy as np

from jaxdet.evaluation.curves import Ranking

BINS = 20


def score_histogram(ranking: Ranking) -> dict[str, Any]:
    """Count right and wrong detections in 20 equal ranges of score, over 0..1 or, for margins of SVMs, their range.

    Returns:
      "edges" (21), "right" (20) and "wrong" (20); a score at an edge counts in the higher range, the last edge in the
      last.
    """
    scores = ranking.scores.astype(np.float64)
    low, high = (0.0, 1.0) if not scores.size else (min(scores.min(), 0.0), max(scores.max(), 1.0))
    edges = np.linspace(low, high, BINS + 1)
    right, wrong = (np.histogram(scores[chosen], edges)[0] for chosen in (ranking.right, ~ranking.right))
    return {"edges": edges.tolist(), "right": right.tolist(), "wrong": wrong.tolist()}
