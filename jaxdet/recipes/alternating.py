"""4-step training (Faster R-CNN, 3.2) as py-faster-rcnn has it: two networks that come to share their convolutions.

Step 1 trains the region proposal network from ImageNet's weights. Step 2 trains Fast R-CNN on its proposals, from
ImageNet's weights again. Step 3 trains the RPN's own layers on Fast R-CNN's convolutions, which stay fixed. Step 4
trains Fast R-CNN's own layers on the proposals of step 3. All four have the parameters of the whole detector; each
changes its part.

As in py-faster-rcnn, step 3 starts the RPN's layers from random values, not from those of step 1, and step 4 starts
cls_score and bbox_pred from random values, fc6 and fc7 from those of step 2. The paper only says "fine-tune"; in the
authors' MATLAB code step 4 starts from the file of step 2.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from jaxdet.checks import InputError
from jaxdet.config.fields import keywords
from jaxdet.config.schema import FasterRcnnAlternating
from jaxdet.inputs import Split
from jaxdet.models.detector import Detector
from jaxdet.models.fast_rcnn import TARGET_STATISTICS, fold_target_statistics
from jaxdet.recipes.initial_params import InitialWeights, with_measured_statistics
from jaxdet.recipes.rpn_proposals import rpn_proposals
from jaxdet.recipes.stage import make_stage, run_stage, trainable_paths
from jaxdet.systems import build_alternating
from jaxdet.training.checkpoints import save_params
from jaxdet.training.restore import check_whole, has_checkpoint
from jaxdet.training.sharding import check_batch_size, data_mesh
from jaxdet.training.stage import Stage
from jaxdet.types import Params

RPN = ("rpn_",)
HEAD = ("fc6", "fc7", "cls_score", "bbox_pred")
OUTPUTS = ("cls_score", "bbox_pred")


class AlternatingTraining:
    """Four stages in workdir/stages. The constructor checks the config; `run` trains or resumes."""

    def __init__(self, experiment: FasterRcnnAlternating, workdir: Path, split: Split):
        self._experiment, self._workdir, self._split = experiment, workdir, split
        self._weights = InitialWeights(experiment.training)
        rpn_experiment = experiment.stage(experiment.stages.rpn)
        fast_experiment = experiment.stage(experiment.stages.fast_rcnn)
        check_batch_size(experiment.evaluation.batch_size, data_mesh())  # of the proposals' batches
        rpn, fast = build_alternating(experiment, split.dataset.class_names)

        rpn_paths, fast_paths = (_trainable(detector, experiment.training.frozen) for detector in (rpn, fast))
        rpn_stage = make_stage(rpn_experiment, rpn, rpn_paths - _of(HEAD, rpn_paths), name="rpn")
        fast_stage = make_stage(fast_experiment, fast, fast_paths - _of(RPN, fast_paths), name="fast_rcnn")
        # Steps 3 and 4 freeze the shared convolutions: only the layers named in `trainable` have gradients.
        self._stages = (
            dataclasses.replace(rpn_stage, name="1_rpn", number=1),
            dataclasses.replace(fast_stage, name="2_fast_rcnn", number=2),
            dataclasses.replace(rpn_stage, name="3_rpn", number=3, trainable=_of(RPN, rpn_paths).__contains__),
            dataclasses.replace(fast_stage, name="4_fast_rcnn", number=4, trainable=_of(HEAD, fast_paths).__contains__),
        )

    def run(self, validation: Split | None) -> None:
        if has_checkpoint(self._workdir):
            check_whole(self._workdir)
            return
        splits = self._split, validation
        first, second, third, fourth = self._stages
        rpn_params = self._train_rpn(first, self._weights.copy_into)
        params = self._train_fast_rcnn(second, self._proposals(first, rpn_params, *splits), self._weights.copy_into)

        shared = {name: layer for name, layer in params.items() if name != TARGET_STATISTICS}
        rpn_params = self._train_rpn(third, lambda random: _reinitialise(shared, random, RPN))
        params = self._train_fast_rcnn(
            fourth,
            self._proposals(third, rpn_params, *splits),
            lambda random: _reinitialise(rpn_params, random, OUTPUTS),
        )
        params = fold_target_statistics(params, self._experiment.head.delta_std)
        save_params(self._workdir, params, step=sum(stage.steps for stage in self._stages))

    def _train_rpn(self, stage: Stage, initialise: Callable[[Params], Params]) -> Params:
        """Train the region proposal network; it is not validated, for proposals have no mAP."""
        return run_stage(stage, self._split, None, folder=self._folder(stage), initialise=initialise)

    def _train_fast_rcnn(
        self, stage: Stage, splits: tuple[Split, Split | None], initialise: Callable[[Params], Params]
    ) -> Params:
        """Train Fast R-CNN on the proposals of the training and validation images."""
        split, validation = splits
        positive_iou = self._experiment.head.roi_targets.positive_iou

        def with_statistics(random: Params) -> Params:
            return with_measured_statistics(initialise(random), split, positive_iou)

        return run_stage(stage, split, validation, folder=self._folder(stage), initialise=with_statistics)

    def _proposals(
        self, stage: Stage, params: Params, split: Split, validation: Split | None
    ) -> tuple[Split, Split | None]:
        """Return both splits with a trained RPN's proposals.

        They are for the images as they are, and training mirrors them with the image, unless stages.mirrored_proposals.
        """
        limits, folder = keywords(self._experiment.rpn.train_proposals), self._folder(stage)

        def propose(split: Split, part: str) -> Split:
            table = rpn_proposals(stage, params, split, folder / f"proposals_{part}.npz", limits=limits)
            if part == "train" and self._experiment.stages.mirrored_proposals:
                path = folder / f"proposals_{part}_mirrored.npz"
                mirrored = rpn_proposals(stage, params, split, path, limits=limits, mirrored=True)
                table = dataclasses.replace(table, mirrored=mirrored)
            return dataclasses.replace(split, proposals=table)

        return propose(split, "train"), None if validation is None else propose(validation, "validation")

    def _folder(self, stage: Stage) -> Path:
        return self._workdir / "stages" / stage.name


def _trainable(detector: Detector, frozen: tuple[str, ...]) -> frozenset[str]:
    """Return the trainable paths; InputError where they leave step 3 or 4 nothing, many hours before it starts."""
    paths = trainable_paths(detector, frozen)
    for number, layers in ((3, RPN), (4, HEAD)):
        if not _of(layers, paths):
            raise InputError(
                f"training.frozen must leave step {number} layers to train ({', '.join(layers)}...), got {frozen}; "
                "name fewer."
            )
    return paths


def _of(layers: tuple[str, ...], paths: frozenset[str]) -> frozenset[str]:
    return frozenset(path for path in paths if path.startswith(layers))


def _reinitialise(params: Params, random: Params, layers: tuple[str, ...]) -> Params:
    """Return `params` with these layers, and those it lacks, at their random values."""
    return random | {name: layer for name, layer in params.items() if not name.startswith(layers)}
