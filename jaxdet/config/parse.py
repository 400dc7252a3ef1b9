"""Parsing of a config file's ConfigDict into the typed schema, once; every mistake is named with its field."""

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxdet.checks import InputError, one_of
from jaxdet.config import schema
from jaxdet.config.dataset_fields import Devkit, Shapes, Voc
from jaxdet.config.limits import check_limit
from jaxdet.config.suggest import suggest
from jaxdet.io.home import expand_home

SCHEMAS = {
    "faster_rcnn": schema.FasterRcnn,
    "faster_rcnn_fpn": schema.FasterRcnnFpn,
    "fast_rcnn": schema.FastRcnn,
    "rcnn": schema.Rcnn,
}
DATASETS = {"shapes": Shapes, "devkit": Devkit, "voc": Voc}
SET_BY_STAGES = (("training", ("steps", "batch_size")), ("optim", ("boundaries",)))
TYPES = {int: "a whole number", float: "a number", str: "text", bool: "True or False"}


class _UnknownField(Exception):
    """The path of a field that the schema does not have."""


def parse(config: Mapping[str, Any]) -> schema.Experiment:
    """Return the experiment of a config as a plain nested dict (ConfigDict.to_dict()).

    Raises:
      InputError: a section or field is missing, unknown, of another type or out of its range.
    """
    one_of("config: system", config.get("system", ""), SCHEMAS)
    experiment_type = _experiment_type(config)
    if experiment_type is schema.FasterRcnnAlternating:
        _check_lengths(config)
    try:
        experiment = _section(experiment_type, config, "")
    except _UnknownField as unknown:
        path = str(unknown)
        raise InputError(f"config: no field {path!r}; {suggest(path, fields_of(config))}") from None
    if isinstance(experiment, schema.Rcnn) and any(experiment.evaluation.svd_ranks):
        raise InputError(
            f"config: evaluation.svd_ranks must be (0, 0) for R-CNN, got {experiment.evaluation.svd_ranks}; compress "
            "fc6 and fc7 of the detectors that share their convolutions."
        )
    return experiment


def fields_of(config: Mapping[str, Any]) -> dict[str, dataclasses.Field]:
    """Return path -> field, as in "training.steps", of all that a config of its system and data set can have.

    It is {} for an unknown system.
    """
    return dict(_leaves(_experiment_type(config), config, "")) if config.get("system") in SCHEMAS else {}


def _leaves(section_type: type, values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, dataclasses.Field]]:
    hints = typing.get_type_hints(section_type, include_extras=True)
    for field in dataclasses.fields(section_type):
        hint, inner = hints[field.name], values.get(field.name)
        inner = inner if isinstance(inner, Mapping) else {}
        if Shapes in typing.get_args(hint):
            hint = DATASETS.get(inner.get("kind", ""), Devkit)
        if dataclasses.is_dataclass(hint):
            yield from _leaves(typing.cast(type, hint), inner, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field


def _experiment_type(config: Mapping[str, Any]) -> type[schema.Experiment]:
    """Return the schema of a config whose system is known."""
    experiment_type = SCHEMAS[config["system"]]
    with_stages = experiment_type is schema.FasterRcnn and "stages" in config
    return schema.FasterRcnnAlternating if with_stages else experiment_type


def _check_lengths(config: Mapping[str, Any]) -> None:
    """Raise InputError where a field that the stages set is also given where joint training has it."""
    for name, fields in SET_BY_STAGES:
        for field in fields:
            if field in config.get(name, {}):
                both = f"stages.fast_rcnn.{field} and stages.rpn.{field}"
                raise InputError(f"config {name}: no field {field!r} with stages; set {both}.")


def _section(section_type: type, values: Mapping[str, Any], path: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(section_type)}
    hints = typing.get_type_hints(section_type, include_extras=True)
    prefix = f"{path}." if path else ""
    for name in values:
        if name not in fields:
            raise _UnknownField(prefix + name)
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING:
            where = f"config {path or 'file'}"
            raise InputError(f"{where}: field {name!r} is missing; {section_type.__name__} needs it.")
    return section_type(**{name: _value(hints[name], value, prefix + name) for name, value in values.items()})


def _value(hint: Any, value: Any, path: str) -> Any:
    """Return a field's value in the type of its annotation; see fields.py for the rest of the annotation."""
    metadata = getattr(hint, "__metadata__", ())
    meaning = next((text for text in metadata if isinstance(text, str)), "")
    hint = typing.get_args(hint)[0] if metadata else hint
    if Shapes in typing.get_args(hint):
        kind = value.get("kind", "") if isinstance(value, Mapping) else ""
        one_of("config: dataset.kind", kind, DATASETS)
        return _section(DATASETS[kind], value, path)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise InputError(f"config: {path} must be a section, got {value!r}; see the configs for its fields.")
        return _section(typing.cast(type, hint), value, path)
    value = _typed(hint, value, path, meaning)
    if Path in metadata:
        value = expand_home(f"config: {path}", value)
    for limit in metadata:
        for number in value if isinstance(value, tuple) else (value,):
            check_limit(f"config: {path}", number, limit)
    return value


def _typed(hint: Any, value: Any, path: str, meaning: str) -> Any:
    """Return a number, text, bool or tuple of these, where `value` has the type of the annotation."""
    choices = typing.get_args(hint)
    if isinstance(hint, types.UnionType):  # float | None
        return None if value is None else _typed(choices[0], value, path, meaning)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, tuple | list):
            raise InputError(f"config: {path} must be a tuple such as (1, 2), got {value!r}: {meaning}.")
        if choices[-1] is not Ellipsis and len(value) != len(choices):
            raise InputError(f"config: {path} must have {len(choices)} values, got {tuple(value)}: {meaning}.")
        return tuple(_typed(choices[0], item, path, meaning) for item in value)
    accepted = (int, float) if hint is float else hint
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"config: {path} must be {TYPES[hint]}, got {value!r}: {meaning}.")
    if isinstance(value, float) and math.isnan(value):
        raise InputError(f"config: {path} must be a number, got nan: {meaning}.")
    return float(value) if hint is float else value
