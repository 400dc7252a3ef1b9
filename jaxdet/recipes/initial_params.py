"""Initial parameters: random, overwritten by every leaf of the pretrained weights whose path and shape match."""

import logging
from pathlib import Path

from jaxdet.config.training_fields import SharedTraining
from jaxdet.inputs import Split
from jaxdet.io.progress import waiting
from jaxdet.models.detector import Detector
from jaxdet.models.fast_rcnn import with_target_statistics
from jaxdet.proposals.delta_statistics import delta_statistics
from jaxdet.systems import param_shapes
from jaxdet.training.restore import find_checkpoint, restore_params
from jaxdet.training.transfer import check_fits, init_from
from jaxdet.types import Params
from jaxdet.weights.pretrained import load_pretrained

log = logging.getLogger(__name__)


class InitialWeights:
    """The weights that training starts from: another run's, ImageNet's, or none."""

    def __init__(self, training: SharedTraining):
        self._training = training
        self._checkpoint: Path | None = None  # of the run init_from, once it is chosen

    def check(self, detector: Detector) -> None:
        """Raise InputError where most of the weights do not fit the detector; they are not kept in memory."""
        weights = self._read()
        if weights is not None:
            check_fits(weights, param_shapes(detector))

    def copy_into(self, params: Params) -> Params:
        """Return random parameters overwritten by the weights that match."""
        weights = self._read()
        if self._checkpoint is not None:
            log.info("training starts from %s", self._checkpoint)
        return params if weights is None else init_from(weights, params)

    def _read(self) -> Params | None:
        """Return the weights, None for none; InputError where they cannot be found, downloaded or read."""
        training = self._training
        with waiting("reading the initial weights"):
            if training.init_from:
                self._checkpoint = self._checkpoint or find_checkpoint(training.init_from, "best")
                return restore_params(self._checkpoint)
            return load_pretrained(training.pretrained, file=training.pretrained_file) if training.pretrained else None


def with_measured_statistics(params: Params, split: Split, positive_iou: float) -> Params:
    """Return Fast R-CNN's parameters with each class's mean and std of the box deltas over the training proposals.

    Args:
      positive_iou: proposals of at least this IoU are positive.
    """
    assert split.proposals is not None
    dataset, proposals = split.dataset, split.proposals
    statistics = delta_statistics(
        ((dataset.annotations(i), table[i]) for table in proposals.tables for i in range(len(dataset))),
        num_classes=len(dataset.class_names),
        positive_iou=positive_iou,
        mirrored=split.options.flip,
        use_difficult=split.options.use_difficult,
    )
    return with_target_statistics(params, *statistics)
