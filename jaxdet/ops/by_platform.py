"""The choice among forms of one function by the platform that a program is lowered for."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
from jax import lax

_platform = jax.make_user_context(None)  # a part of the keys of jax's caches


@contextlib.contextmanager
def lowered_for(platform: str):
    """Trace only the forms for this platform ("cpu", "gpu", "tpu"): what is traced here is lowered for no other.

    Of nested blocks the outermost decides: so a program for a mesh of CPUs can be lowered for another platform.
    """
    with _platform(_platform.value or platform):
        yield


def by_platform(*arguments: Any, default: Callable[..., Any], **forms: Callable[..., Any]) -> Any:
    """Return what the form for the platform of the program returns; the forms are keywords, "cpu" and "tpu".

    It is `lax.platform_dependent`, which traces all forms to choose one when the program is lowered. Half the time of
    tracing a detector goes to the forms for other platforms, so `lowered_for` leaves them out.
    """
    if _platform.value is None:
        return lax.platform_dependent(*arguments, default=default, **forms)
    return forms.get(_platform.value, default)(*arguments)
