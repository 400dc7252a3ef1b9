"""Contract checks and the one wording of errors: what, got, cure."""

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike


class InputError(ValueError):
    """A mistake in what the user gave (flag, config, file, folder). Scripts print it without a traceback."""


def check_array(what: str, array: ArrayLike, *, shape: tuple[int | str, ...], dtype: DTypeLike, cure: str) -> None:
    """Raise ValueError unless `array` has the dtype and shape; strings in `shape` stand for any length.

    check_array("match: iou", iou, shape=("N", "G"), dtype=jnp.float32, cure="pass pairwise_iou(anchors, gt_boxes)")
    """
    got_shape, got_dtype = jnp.shape(array), jnp.result_type(array)
    fits = len(got_shape) == len(shape) and all(
        isinstance(want, str) or want == got for want, got in zip(shape, got_shape, strict=True)
    )
    if not fits or got_dtype != jnp.dtype(dtype):
        wanted = f"{jnp.dtype(dtype).name}[{','.join(map(str, shape))}]"
        raise ValueError(f"{what} must be {wanted}, got {got_dtype.name}{list(got_shape)}; {cure}.")


def nearest(name: str, valid: Iterable[str], *, prefix: str = "") -> str:
    """Return the cure of a misspelling: the closest valid name, after the prefix that both share."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.4)
    return f"did you mean {prefix + close[0]!r}?" if close else f"valid names: {', '.join(valid)}"


def one_of(what: str, value: str, names: Iterable[str], cure: str = "") -> None:
    """Raise InputError unless `value` is one of `names`; `cure` is a sentence in place of the nearest name.

    one_of("net.backbone", backbone, BACKBONES)
    """
    names = list(names)
    if value not in names:
        raise InputError(
            f"{what} must be one of {', '.join(names)}, got {value!r}; {cure or nearest(str(value), names)}"
        )


def at_least(what: str, value: float, least: float, cure: str = "") -> None:
    """Raise InputError where a number is below `least`; `cure` is a clause such as "2000 is usual"."""
    if not value >= least:  # NaN fails too
        raise InputError(f"{what} must be at least {least}, got {value}{cure and f'; {cure}'}.")


def above_zero(what: str, numbers: Sequence[float], usual: str) -> None:
    """Raise InputError unless these are one or more finite numbers above 0.

    above_zero("anchors.scales", scales, "(8.0, 16.0, 32.0)")
    """
    if len(numbers) == 0 or not all(0 < number < math.inf for number in numbers):
        raise InputError(f"{what} must be one or more numbers above 0, got {tuple(numbers)}; {usual} is usual.")


def listed(names: Sequence[str], shown: int) -> str:
    """Return the first `shown` names, and ", ..." where there are more.

    listed(["cat", "dog", "cow"], 2) == "cat, dog, ..."
    """
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")


def install(extra: str) -> str:
    """Return the command that installs an optional extra, of the installed package and of a clone.

    install("plots") == 'pip install "jaxdet[plots]", or in a clone pip install ".[plots]"'
    """
    return f'pip install "jaxdet[{extra}]", or in a clone pip install ".[{extra}]"'


def bind(function: Callable, values: Mapping[str, Any], *, section: str, **more: Any) -> Callable:
    """Return the function with the config section `values` (and `more`) as its keyword arguments.

    Raises InputError for a name that the function does not take and for one that it needs and does not get.
    """
    parameters = inspect.signature(function).parameters.values()
    keywords = {p.name: p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    for name in values:
        if name not in keywords or name in more:
            raise InputError(f"config {section}: no field {name!r}; {nearest(name, keywords.keys() - more.keys())}")
    missing = [name for name, p in keywords.items() if p.default is p.empty and name not in values and name not in more]
    if missing:
        raise InputError(f"config {section}: field {missing[0]!r} is missing; {function.__name__} needs it.")
    return functools.partial(function, **values, **more)
