"""The config's sections that no single function takes as its arguments; their fields are checked all the same."""

import dataclasses

from ml_collections import ConfigDict

from jaxdet.checks import InputError, bind, nearest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    name: str
    system: str
    seed: int
    dataset: ConfigDict
    splits: ConfigDict
    input: ConfigDict
    net: ConfigDict
    model: ConfigDict
    optim: ConfigDict
    training: ConfigDict
    evaluation: ConfigDict


@dataclasses.dataclass(frozen=True, kw_only=True)
class FasterRcnn(Config):
    anchors: ConfigDict
    stages: ConfigDict | None = None  # of the 4-step training


@dataclasses.dataclass(frozen=True, kw_only=True)
class FastRcnn(Config):
    proposals: ConfigDict  # Selective Search


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rcnn(FastRcnn):
    linear: ConfigDict  # its second half


SYSTEMS = {"faster_rcnn": FasterRcnn, "fast_rcnn": FastRcnn, "rcnn": Rcnn}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageLength:
    steps: int
    batch_size: int
    boundaries: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stages:
    rpn: ConfigDict
    fast_rcnn: ConfigDict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear:
    bbox_regression: bool


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
    detections_per_class: int
    svd_ranks: tuple[int, int]

    def __post_init__(self):
        _check_least("evaluation.batch_size", self.batch_size, 1)
        _check_least("evaluation.pictures", self.pictures, 0)
        _check_least("evaluation.detections_per_class", self.detections_per_class, 0)
        if len(self.svd_ranks) != 2:
            raise InputError(
                f"config: evaluation.svd_ranks must be two, of fc6 and fc7, got {self.svd_ranks}; "
                "(0, 0) leaves both as trained."
            )


def check(config: ConfigDict) -> None:
    """Raises InputError where the config lacks a section or field, has one that nobody reads, or a count is too small.

    The other sections' fields are checked by the functions that take them.
    """
    if config.get("system") not in SYSTEMS:
        got = config.get("system")
        cure = nearest(str(got), SYSTEMS)
        raise InputError(f"config: system must be one of {', '.join(SYSTEMS)}, got {got!r}; {cure}")
    bind(SYSTEMS[config.system], config, section="file")
    if "stages" in config:
        bind(Stages, config.stages, section="stages")()
        for name, stage in config.stages.items():
            length = bind(StageLength, stage, section=f"stages.{name}")()
            for field in ("steps", "batch_size"):  # here, for below they are called training.steps and so on
                _check_least(f"stages.{name}.{field}", getattr(length, field), 1)
            check(stage_config(config, name))
        return
    _check_least("seed", config.seed, 0)
    for name, section in (("splits", Splits), ("training", Training), ("evaluation", Evaluation)):
        bind(section, config[name], section=name)()
    if config.system == "rcnn":
        bind(Linear, config.linear, section="linear")()
        if any(config.evaluation.svd_ranks):
            raise InputError(
                f"config: evaluation.svd_ranks must be (0, 0) for R-CNN, got {config.evaluation.svd_ranks}; compress "
                "fc6 and fc7 of the detectors that share their convolutions."
            )


def stage_configs(config: ConfigDict) -> list[ConfigDict]:
    """The config of each kind of stage; the config itself where training has one."""
    return [stage_config(config, name) for name in config.stages] if "stages" in config else [config]


def stage_config(config: ConfigDict, name: str) -> ConfigDict:
    """The config of one kind of stage of the 4-step training: how long, how many images a step, when the rate drops.

    Raises:
      InputError: these fields are also given where joint training has them.
    """
    stage = config.copy_and_resolve_references()
    stage.unlock()  # as flags give it, no field may be added or removed
    length = stage.stages[name]
    del stage.stages
    for section, fields in (("training", ("steps", "batch_size")), ("optim", ("boundaries",))):
        for field in fields:
            if field in stage[section]:
                both = " and ".join(f"stages.{kind}.{field}" for kind in config.stages)
                raise InputError(f"config {section}: no field {field!r} with stages; set {both}.")
            stage[section][field] = length[field]
    return stage


def _check_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"config: {name} must be at least {least}, got {value}.")
