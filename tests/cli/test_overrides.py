"""Overrides change fields with the type that the config file gives them."""

import pytest
from ml_collections import ConfigDict

from configs import faster_shapes
from jaxdet.checks import InputError
from jaxdet.cli.overrides import overridden_fields, override, split_overrides


def config():
    return ConfigDict(
        {"seed": 0, "input": {"flip": True, "side": 600}, "anchors": {"scales": (8.0, 16.0), "side": 1}, "names": ()}
    )


def test_overrides_are_split_from_other_arguments():
    arguments = ["train.py", "--config=x.py", "--config.seed=1", "-config.input.side=2", "--noconfig.input.flip", "a"]
    assert split_overrides(arguments) == (["train.py", "--config=x.py", "a"], arguments[2:5])


def test_a_value_may_follow_its_override():
    arguments = ["train.py", "--config.seed", "3", "--config.input.flip", "--workdir=a"]
    assert split_overrides(arguments) == (["train.py", "--workdir=a"], ["--config.seed=3", "--config.input.flip"])


def test_the_overridden_fields_are_known():
    arguments = ["train.py", "--config=x.py", "--config.seed=1", "-config.input.side", "2", "--noconfig.input.flip"]
    assert overridden_fields(arguments) == {"seed", "input.side", "input.flip"}


@pytest.mark.parametrize(
    ("arguments", "path", "value"),
    [
        (["--config.seed=3"], "seed", 3),
        (["-config.input.side=3"], "input.side", 3),
        (["--config.seed=3", "--config.seed=4"], "seed", 4),
        (["--noconfig.input.flip"], "input.flip", False),
        (["--config.input.flip=false"], "input.flip", False),
        (["--config.input.flip"], "input.flip", True),
        (["--config.anchors.scales=(1, 2.5)"], "anchors.scales", (1, 2.5)),
        (["--config.anchors.scales=1", "--config.anchors.scales=2"], "anchors.scales", (1, 2)),
        (["--config.names=('a', 'b')"], "names", ("a", "b")),
    ],
)
def test_values(arguments, path, value):
    overridden = override(config(), arguments)
    assert overridden.to_dict() == config().to_dict() | changed(path, value)


def changed(path, value):
    """The top level of the config with one field changed."""
    section, _, field = path.rpartition(".")
    return {section: config()[section].to_dict() | {field: value}} if section else {field: value}


def test_the_config_is_locked():
    assert override(config(), []).is_locked
    assert override(config(), ["--config.seed=1"]).input.is_locked


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("--config.sed=1", "config: no field 'sed'; did you mean 'seed'?"),
        ("--config.input.seed=1", "config: no field 'input.seed'; did you mean 'seed'?"),
        ("--config.sides=1", "config: no field 'sides'; did you mean 'input.side'?"),
        ("--config.flip.side=1", "config: no field 'flip'; did you mean 'input.flip'?"),
        ("--config.seed.a=1", "config: seed has no fields; write --config.seed=value."),
        ("--config.input=1", "config: input is a section; set its fields: --config.input.flip=..."),
        ("--config.seed=1.5", "--config.seed must be int, got '1.5'; the config file shows such a value."),
        ("--config.seed", "Missing value for flag --config.seed"),
        ("--config.anchors.scales=(1, 'a')", "must be like (8.0, 16.0), got 'a'; write it as in '(1, 2)'."),
    ],
)
def test_mistakes(argument, error):
    with pytest.raises(InputError) as raised:
        override(config(), [argument])
    assert str(raised.value).endswith(error)


def test_a_field_that_the_file_leaves_to_the_schema_can_be_overridden():
    config = faster_shapes.get_config()
    assert "min_size" not in config.head.detections
    overridden = override(config, ["--config.head.detections.min_size=3.0"])
    assert overridden.head.detections.min_size == 3.0
    assert overridden.head.inclusive_boxes is False
