"""The tables refuse columns that do not belong together."""

import numpy as np
import pytest

from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"DetectionTable: columns must have shapes .* one row an object"):
        DetectionTable(np.zeros(2, int), np.zeros((2, 4)), np.ones(2, int), np.zeros(3))
    with pytest.raises(ValueError, match="GroundTruthTable"):
        GroundTruthTable(np.zeros(2, int), np.zeros((2, 5)), np.ones(2, int), np.zeros(2, bool))


def test_no_rows_are_fine():
    assert len(DetectionTable(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, int), np.zeros(0)).image) == 0
