"""Training in one stage: Faster R-CNN jointly (3.2, approximate joint training), or Fast R-CNN on its proposals."""

from pathlib import Path

from jaxdet.config.experiment_json import is_trained
from jaxdet.config.schema import FasterRcnn, FasterRcnnFpn, FastRcnn
from jaxdet.inputs import Split
from jaxdet.recipes.initial_params import InitialWeights, with_measured_statistics
from jaxdet.recipes.pictures import Pictures
from jaxdet.recipes.stage import make_stage, run_stage, trainable_paths
from jaxdet.systems import build_detector
from jaxdet.types import Params


class JointTraining:
    """One stage in the workdir itself. The constructor checks the config; `run` trains."""

    def __init__(self, experiment: FasterRcnn | FasterRcnnFpn | FastRcnn, workdir: Path, split: Split):
        self._workdir, self._split = workdir, split
        self._pictures = Pictures(experiment, split.dataset.class_names, workdir / "pictures")
        self._positive_iou = experiment.head.roi_targets.positive_iou
        detector = build_detector(experiment, split.dataset.class_names)
        trainable = trainable_paths(detector, experiment.training.frozen)
        name = "fast_rcnn" if isinstance(experiment, FastRcnn) else "joint"
        self._stage = make_stage(experiment, detector, trainable, name=name)
        self._weights = InitialWeights(experiment.training)
        if split.search is not None and not is_trained(workdir):
            self._weights.check(detector)  # before the proposal search, which takes hours

    def run(self, validation: Split | None) -> Params:
        """Train or resume; return the last parameters."""
        split = self._split.with_proposals()
        validation = None if validation is None else validation.with_proposals()

        def initialise(params: Params) -> Params:
            params = self._weights.copy_into(params)
            return params if split.proposals is None else with_measured_statistics(params, split, self._positive_iou)

        return run_stage(
            self._stage,
            split,
            validation,
            folder=self._workdir,
            initialise=initialise,
            pictures=self._pictures,
        )
