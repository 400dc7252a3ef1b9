"""A random split with images of noise, for reports."""

import numpy as np

from jaxdet.evaluation.analysis import analyse
from jaxdet.evaluation.metrics import summarize
from tests.evaluation.random_split import load_split

NAMES = ("cat", "<script>alert(1)</script>", 'dining "table" & é')
IMAGES = 40


def image_name(i):
    return f"<b>{i}</b>"


def read_image(i):
    return np.random.default_rng(i).integers(0, 256, (500, 500, 3), np.uint8)


def analysed_split():
    """Return the tables' analysis, metrics.json's content and the ground truth."""
    detections, truth, _, _ = load_split("apart")
    analysis = analyse(detections, truth, NAMES, default_threshold=0.5, match_at_threshold=False)
    summary = summarize(detections, truth, NAMES) | {"split": "test", "checkpoint": "24", "not_as_trained": []}
    return analysis, summary, truth
