import pytest

from jaxdet.checks import InputError
from jaxdet.config.limits import Most, check_limit


@pytest.mark.parametrize(
    ("number", "limit", "error"),
    [
        (1.0, Most(1.0), ""),
        (1.1, Most(1.0), "x must be at most 1, got 1.1."),
        (float("nan"), Most(1.0), "x must be at most 1, got nan."),
        (1.0, Most(1.0, allowed=False), "x must be below 1, got 1.0."),
        (0, 1, "x must be at least 1, got 0."),
        (0, "the meaning of the field", ""),
    ],
)
def test_a_number_beyond_a_limit_is_refused(number, limit, error):
    try:
        check_limit("x", number, limit)
        assert not error
    except InputError as refused:
        assert str(refused) == error
