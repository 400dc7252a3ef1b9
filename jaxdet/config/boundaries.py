"""Boundaries of the learning rate, for a training of another length."""

from collections.abc import Callable


def scale_boundaries(boundaries: tuple[int, ...], scale: Callable[[int], int]) -> tuple[int, ...]:
    """Return the boundaries in a training of another length, each at least one step after the one before.

    In a very short training they would fall together. Apart, each of them still drops the rate.

    Args:
      boundaries: steps at which the rate drops, in any order: a wrong one stays wrong.
      scale: gives the step of the new training that corresponds to one of the old.
    """
    scaled = list[int]()
    for i, boundary in enumerate(boundaries):
        ascends = i > 0 and boundary > boundaries[i - 1]
        scaled.append(max(scale(boundary), scaled[-1] + 1 if ascends else 1))
    return tuple(scaled)
