"""Three detections of three classes, and the folder of an evaluation."""

import numpy as np
import pytest

from jaxdet.evaluation.tables import DetectionTable
from jaxdet.io.output_folder import OutputFolder

NAMES = ("cat", "potted plant", "unseen")


def opened(folder):
    return OutputFolder(folder, cure="name another folder")


@pytest.fixture
def detections():
    boxes = np.array([[0, 0, 50, 50], [10, 20, 30.04, 40], [0, 0, 5, 5]], np.float32)
    return DetectionTable(np.array([0, 1, 1]), boxes, np.array([1, 1, 3]), np.array([0.9, 0.12345, 0.5]))
