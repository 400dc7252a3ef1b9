"""Boundaries of the learning rate, scaled to a training of another length."""

from collections.abc import Callable


def scale_boundaries(boundaries: tuple[int, ...], scale: Callable[[int], int]) -> tuple[int, ...]:
    """Return the boundaries scaled, each at least one step after the one before.

    In a very short training, rounding would make them equal, which `make_optimizer` refuses.

    Args:
      boundaries: steps at which the rate drops. Where they do not ascend, the result does not either, so that
        `make_optimizer` still refuses them.
      scale: maps a step of the old training to one of the new.
    """
    scaled = list[int]()
    for i, boundary in enumerate(boundaries):
        ascends = i > 0 and boundary > boundaries[i - 1]
        scaled.append(max(scale(boundary), scaled[-1] + 1 if ascends else 1))
    return tuple(scaled)
