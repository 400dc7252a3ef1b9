"""The ranges of numbers in a config: a field's annotation holds its minimum as a number, its maximum as `Most`."""

from dataclasses import dataclass
from typing import Annotated, Any

from jaxdet.checks import InputError, at_least


@dataclass(frozen=True)
class Most:
    """The maximum of a field."""

    limit: float
    allowed: bool = True  # False: the field must be below it


Positive = Annotated[int, 1]
Count = Annotated[int, 0]
Fraction = Annotated[float, 0.0, Most(1.0)]


def check_limit(what: str, number: Any, limit: Any) -> None:
    """Raise InputError where a number is beyond a minimum or maximum; other annotations are no limits."""
    if isinstance(limit, Most):
        if not (number <= limit.limit if limit.allowed else number < limit.limit):
            raise InputError(f"{what} must be {'at most' if limit.allowed else 'below'} {limit.limit:g}, got {number}.")
    elif isinstance(limit, int | float):
        at_least(what, number, limit)
