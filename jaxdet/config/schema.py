"""Schema of the experiment config: the sections that each system has."""

import dataclasses
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from jaxdet.config.dataset_fields import Devkit, Shapes, Voc
from jaxdet.config.detector_fields import (
    Anchors,
    FasterHead,
    FastRcnnHead,
    Net,
    PyramidAnchors,
    PyramidNet,
    RcnnHead,
    Rpn,
    SharedNet,
)
from jaxdet.config.fields import MAY_CHANGE, AugmentationFields, Evaluation, Input, Linear, SelectiveSearch, Splits
from jaxdet.config.limits import Count
from jaxdet.config.training_fields import Optim, SharedOptim, SharedTraining, StageLength, Stages, Training


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Sections of every config."""

    name: Annotated[str, "name of the experiment; the default workdir is runs/NAME", MAY_CHANGE]
    system: Annotated[str, "'faster_rcnn', 'faster_rcnn_fpn', 'fast_rcnn' or 'rcnn'"]
    seed: Annotated[Count, "seed of initialisation, data order and sampling"]
    dataset: Shapes | Devkit | Voc
    splits: Splits
    input: Input
    net: SharedNet
    optim: SharedOptim
    training: SharedTraining
    evaluation: Evaluation
    augmentation: AugmentationFields = AugmentationFields()

    @property
    def default_workdir(self) -> str:
        return f"runs/{self.name}"


@dataclass(frozen=True, kw_only=True)
class OneStage(Experiment):
    """Training in one stage."""

    optim: Optim
    training: Training


@dataclass(frozen=True, kw_only=True)
class FasterRcnn(OneStage):
    net: Net
    anchors: Anchors
    rpn: Rpn
    head: FasterHead


@dataclass(frozen=True, kw_only=True)
class FasterRcnnFpn(OneStage):
    net: PyramidNet
    anchors: PyramidAnchors
    rpn: Rpn
    head: FasterHead


@dataclass(frozen=True, kw_only=True)
class FastRcnn(OneStage):
    net: Net
    proposals: SelectiveSearch
    head: FastRcnnHead


@dataclass(frozen=True, kw_only=True)
class Rcnn(OneStage):
    net: Net
    proposals: SelectiveSearch
    head: RcnnHead
    linear: Linear


@dataclass(frozen=True, kw_only=True)
class FasterRcnnAlternating(Experiment):
    """Faster R-CNN by 4-step training (3.2): the stages set steps, batch_size and boundaries."""

    net: Net
    anchors: Anchors
    rpn: Rpn
    head: FasterHead
    stages: Stages

    def stage(self, length: StageLength) -> FasterRcnn:
        """Return the experiment of one stage."""
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(Experiment)}
        shared["training"] = Training(
            **dataclasses.asdict(self.training), steps=length.steps, batch_size=length.batch_size
        )
        shared["optim"] = Optim(**dataclasses.asdict(self.optim), boundaries=length.boundaries)
        return FasterRcnn(**shared, anchors=self.anchors, rpn=self.rpn, head=self.head)


def all_fields() -> Iterator[tuple[str, Any, dataclasses.Field]]:
    """Yield path ("training.keep"), annotation and dataclass field of every field of every system and data set."""
    for system in (FasterRcnn, FasterRcnnFpn, FasterRcnnAlternating, FastRcnn, Rcnn):
        yield from _fields(system, "")


def _fields(section: type, prefix: str) -> Iterator[tuple[str, Any, dataclasses.Field]]:
    hints = typing.get_type_hints(section, include_extras=True)
    for field in dataclasses.fields(section):
        hint, path = hints[field.name], f"{prefix}{field.name}"
        if hasattr(hint, "__metadata__"):
            yield path, hint, field
        else:
            for inner in typing.get_args(hint) or (hint,):  # the data sets of `dataset`
                yield from _fields(inner, f"{path}.")
