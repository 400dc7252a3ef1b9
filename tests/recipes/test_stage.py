"""Warnings of a stage that is too short for its learning-rate schedule."""

import importlib

import pytest

from jaxdet.config.parse import parse
from jaxdet.config.resolve import resolve_config
from jaxdet.recipes.stage import make_stage
from jaxdet.systems import build_detector


@pytest.mark.parametrize(("steps", "warned"), [(100, False), (99, True)])
def test_a_warm_up_that_is_too_long_is_named(steps, warned, tmp_path, caplog):
    config = importlib.import_module("configs.faster_shapes").get_config()
    config.optim.warmup_steps, config.training.steps = 100, steps
    experiment = resolve_config(parse(config.to_dict()), tmp_path)
    make_stage(experiment, build_detector(experiment, ("a",)), (), name="joint")
    assert (
        "joint: the learning rate rises for 100 steps (optim.warmup_steps) and never reaches its full value"
        in caplog.text
    ) == warned


@pytest.mark.parametrize(("steps", "warned"), [(2001, False), (2000, True), (1000, True)])
def test_drops_of_the_rate_that_come_too_late_are_named(steps, warned, tmp_path, caplog):
    config = importlib.import_module("configs.faster_shapes").get_config()
    config.optim.update({"schedule": "step", "boundaries": (500, 2000)})
    config.training.steps = steps
    experiment = resolve_config(parse(config.to_dict()), tmp_path)
    make_stage(experiment, build_detector(experiment, ("a",)), (), name="joint")
    assert (
        f"joint: the learning rate does not drop at step 2000 (boundaries): the training ends at step {steps}"
        in caplog.text
    ) == warned
