"""The paper's 4-step alternating training (Faster R-CNN, 3.2): two networks that come to share their convolutions.

1 trains the region proposal network from ImageNet's weights; 2 trains Fast R-CNN on its proposals, from ImageNet's
weights again; 3 trains the RPN's own layers on Fast R-CNN's convolutions, which stay as they are; 4 trains Fast
R-CNN's own layers on the proposals of 3. All four have the parameters of the whole detector; each changes its part.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxdet.building import _roi_targets, build_region_net, build_rpn, shapes
from jaxdet.checks import InputError
from jaxdet.data.dataset import PreparedDataset as Dataset
from jaxdet.fitting import learning, normalised, run_stage, starting_from
from jaxdet.models.detector import Detector
from jaxdet.models.fast_rcnn import TARGET_STATISTICS, fast_rcnn, fold_target_statistics
from jaxdet.models.rpn import rpn_detector
from jaxdet.rpn_proposals import rpn_proposals
from jaxdet.sections import stage_config
from jaxdet.training.checkpoints import save_params
from jaxdet.training.restore import has_checkpoint
from jaxdet.training.state import flatten
from jaxdet.types import Params, ProposalTable

RPN = ("rpn_",)
HEAD = ("fc6", "fc7", "cls_score", "bbox_pred")
HEAD_OUTPUTS = ("cls_score", "bbox_pred")

Proposals = tuple[ProposalTable, ProposalTable | None]  # of the training and the validation split


def train_alternating(config: ConfigDict, workdir: Path, dataset: Dataset, validation: Dataset | None) -> None:
    """Runs the four steps in workdir/stages/, each from where it was left, and saves the whole detector."""
    if has_checkpoint(workdir):
        return
    steps = _Steps(config, workdir, dataset, validation)
    free = _learning(config, steps.rpn)
    from_imagenet = functools.partial(starting_from, config)
    first = steps.train_rpn(1, from_imagenet, lambda path: free(path) and not path.startswith(HEAD))
    proposals = steps.proposals(1, first)
    second = steps.train_fast(2, from_imagenet, lambda path: free(path) and not path.startswith(RPN), proposals)
    shared = {name: layer for name, layer in second.items() if name != TARGET_STATISTICS}
    third = steps.train_rpn(
        3, lambda fresh: _anew(shared, fresh, RPN), lambda path: free(path) and path.startswith(RPN)
    )
    proposals = steps.proposals(3, third)
    fourth = steps.train_fast(
        4, lambda fresh: _anew(third, fresh, HEAD_OUTPUTS), lambda path: free(path) and path.startswith(HEAD), proposals
    )
    length = 2 * sum(stage.steps for stage in config.stages.values())
    save_params(workdir, fold_target_statistics(fourth, config.model.delta_std), step=length)


class _Steps:
    """The two kinds of steps, numbered as in the paper: over one data set, each in its folder of workdir/stages."""

    def __init__(self, config: ConfigDict, workdir: Path, dataset: Dataset, validation: Dataset | None):
        self._rpn_config, self._fast_config = (stage_config(config, name) for name in ("rpn", "fast_rcnn"))
        self._stages, self._dataset, self._validation = workdir / "stages", dataset, validation
        self.rpn, self._fast = _detectors(config, len(dataset.class_names))

    def train_rpn(self, number: int, begin: Callable, learns: Callable) -> Params:
        """Trains the region proposal network; nothing is scored, for proposals have no mAP."""
        return run_stage(
            self._rpn_config, self.rpn, (self._dataset, None), **self._about(number, "rpn"),
            start=begin, learns=learns, validation=None,
        )  # fmt: skip

    def train_fast(self, number: int, begin: Callable, learns: Callable, proposals: Proposals) -> Params:
        """Trains Fast R-CNN on the proposals of the training and validation images."""
        data = self._dataset, proposals[0]
        return run_stage(
            self._fast_config, self._fast, data, **self._about(number, "fast_rcnn"),
            start=lambda fresh: normalised(begin(fresh), self._fast_config, data),
            learns=learns,
            validation=None if self._validation is None else (self._validation, proposals[1]),
        )  # fmt: skip

    def proposals(self, number: int, params: Params) -> Proposals:
        """What the RPN of a step proposes, for the images as they are: they are mirrored with the images later."""
        folder = self._about(number, "rpn")["folder"]
        return tuple(
            split and rpn_proposals(self._rpn_config, self.rpn, params, split, folder / f"proposals_{part}.npz")
            for part, split in (("train", self._dataset), ("validation", self._validation))
        )

    def _about(self, number: int, kind: str) -> dict[str, Any]:
        name = f"{number}_{kind}"
        return {"name": name, "number": number, "folder": self._stages / name}


def _detectors(config: ConfigDict, classes: int) -> tuple[Detector, Detector]:
    """The RPN alone, whose predictions are the proposals that Fast R-CNN trains on, and Fast R-CNN."""
    net, anchors = build_region_net(config, classes)
    model = config.model
    names = "detections", "roi_pooling", "max_log_scale"
    options = {"sigma": model.roi_sigma, "roi_targets": _roi_targets(config)} | {name: model[name] for name in names}
    fast = fast_rcnn(net, num_classes=classes, **options)
    return rpn_detector(net, build_rpn(config, net, anchors)), fast


def _learning(config: ConfigDict, detector: Detector) -> Callable[[str], bool]:
    """What training.frozen leaves to be learned; InputError where it leaves step 3 or 4 nothing, many hours early."""
    frozen, paths = config.training.frozen, flatten(shapes(detector))
    free = learning(frozen, detector)
    for number, layers in ((3, RPN), (4, HEAD)):
        if not any(free(path) and path.startswith(layers) for path in paths):
            raise InputError(
                f"training.frozen must leave step {number} layers to learn ({', '.join(layers)}...), got {frozen}; "
                "name fewer."
            )
    return free


def _anew(params: Params, fresh: Params, prefixes: tuple[str, ...]) -> Params:
    """`params` with the layers of these prefixes as freshly drawn, and those it lacks."""
    return fresh | {name: layer for name, layer in params.items() if not name.startswith(prefixes)}
