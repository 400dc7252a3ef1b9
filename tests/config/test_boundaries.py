import pytest

from jaxdet.config.boundaries import scale_boundaries


@pytest.mark.parametrize(
    ("steps", "boundaries"),
    [(30_000, (10_000, 20_000)), (300, (100, 200)), (3, (1, 2)), (2, (1, 2)), (1, (1, 2))],
)
def test_every_boundary_still_drops_the_rate_in_a_very_short_training(steps, boundaries):
    assert scale_boundaries((10_000, 20_000), lambda boundary: round(boundary * steps / 30_000)) == boundaries


@pytest.mark.parametrize("wrong", [(20_000, 10_000), (10_000, 10_000)])
def test_boundaries_that_do_not_ascend_stay_wrong(wrong):
    scaled = scale_boundaries(wrong, lambda boundary: boundary // 10_000)
    assert list(scaled) != sorted(set(scaled))
