"""The config's sections that no single function takes as its arguments; their fields are checked all the same."""

import dataclasses

from ml_collections import ConfigDict

from jaxdet.checks import InputError, bind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    name: str
    seed: int
    dataset: ConfigDict
    splits: ConfigDict
    input: ConfigDict
    net: ConfigDict
    anchors: ConfigDict
    model: ConfigDict
    optim: ConfigDict
    training: ConfigDict
    evaluation: ConfigDict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Splits:
    train: str
    validation: str
    test: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    steps: int
    batch_size: int
    accumulate: int
    frozen: tuple[str, ...]
    init_from: str
    pretrained: str
    pretrained_file: str
    log_every: int
    eval_every: int
    checkpoint_every: int
    keep: int

    def __post_init__(self):
        for name in ("steps", "batch_size", "accumulate", "log_every", "checkpoint_every", "keep"):
            _check_least(f"training.{name}", getattr(self, name), 1)
        _check_least("training.eval_every", self.eval_every, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    batch_size: int
    pictures: int

    def __post_init__(self):
        _check_least("evaluation.batch_size", self.batch_size, 1)
        _check_least("evaluation.pictures", self.pictures, 0)


def check(config: ConfigDict) -> None:
    """Raises InputError where the config lacks a section or field, has one that nobody reads, or a count is too small.

    The other sections' fields are checked by the functions that take them.
    """
    bind(Config, config, section="file")
    _check_least("seed", config.seed, 0)
    for name, section in (("splits", Splits), ("training", Training), ("evaluation", Evaluation)):
        bind(section, config[name], section=name)()


def _check_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"config: {name} must be at least {least}, got {value}.")
