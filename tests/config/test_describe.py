"""The help lists every field of a config with its value, type and meaning."""

import typing

from configs import faster_shapes
from jaxdet.config.describe import describe, fields_text
from jaxdet.config.detector_fields import Net, Rpn
from jaxdet.config.parse import fields_of


def test_every_field_is_listed_with_its_value_type_and_meaning():
    config = faster_shapes.get_config().to_dict()
    text = fields_text(config)
    assert "--config.training.steps=2200\n      int, at least 1: optimiser steps (may change on resume" in text
    assert "--config.head.inclusive_boxes=False\n" in text  # left to the schema
    assert "--config.rpn.max_log_scale=\n" in text  # none
    assert "--config.anchors.ratios='(0.5, 1.0, 2.0)'\n" in text  # as a shell needs it
    assert [line for line in text.splitlines() if len(line) > 100] == []
    assert all(f"\n  --config.{path}=" in f"\n{text}" for path in fields_of(config))


def test_limits_are_part_of_the_type():
    hints = typing.get_type_hints(Net, include_extras=True) | typing.get_type_hints(Rpn, include_extras=True)
    assert describe(hints["dropout"]) == ("float, at least 0, below 1", "dropout rate of fc6 and fc7")
    assert describe(hints["max_log_scale"])[0] == "float or None"
