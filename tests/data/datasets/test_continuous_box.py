import numpy as np
import pytest

from jaxdet.data.datasets.continuous_box import clipped, finite
from jaxdet.data.datasets.xml_file import Unusable


def test_boxes_are_clipped_and_rounding_is_no_fault():
    assert clipped((1.5, 2, 3, 4), 60, 80) == ((1.5, 2, 3, 4), False)
    assert clipped((-0.9, 0, 80.5, 60), 60, 80) == ((0, 0, 80, 60), False)
    assert clipped((-1.5, 0, 80, 60), 60, 80) == ((0, 0, 80, 60), True)


@pytest.mark.parametrize("box", [(3, 2, 3, 4), (3, 4, 5, 2), (80, 2, 90, 4), (-5, 2, 0, 4), (np.nan, 0, 1, 1)])
def test_boxes_without_area_in_the_image_are_refused(box):
    with pytest.raises(Unusable):
        clipped(box, 60, 80)


def test_only_finite_numbers_are_numbers():
    assert finite([1, 2.5, -3]) and finite([])
    for value in ("1", True, None, [1], float("nan"), float("inf"), 10**400, 1e305):
        assert not finite([value])
