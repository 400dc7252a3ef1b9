"""The systems and the function that builds each.

Schemas are in config/parse.py, recipes in train.py, because imports go one way.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxdet.checks import InputError, above_zero
from jaxdet.config.detector_fields import PyramidAnchors
from jaxdet.config.fields import keywords
from jaxdet.config.schema import Experiment, FasterRcnn, FasterRcnnAlternating, FasterRcnnFpn, FastRcnn, Rcnn
from jaxdet.models.detector import Detector
from jaxdet.models.fast_rcnn import fast_rcnn
from jaxdet.models.faster_rcnn import faster_rcnn
from jaxdet.models.rcnn import rcnn
from jaxdet.models.rpn import Rpn, region_proposal_network, rpn_detector
from jaxdet.nets.crop_net import CropNet, crop_net
from jaxdet.nets.fpn_net import LEVELS, STRIDES, fpn_net
from jaxdet.nets.region_net import STRIDE, RegionNet, region_net
from jaxdet.ops.anchors import base_anchors, grid_anchors
from jaxdet.training.state import flatten
from jaxdet.types import Params

Ranks = tuple[int, int]
WHOLE: Ranks = (0, 0)  # fc6 and fc7 as trained


@dataclasses.dataclass(frozen=True)
class System:
    """One system.

    build: (experiment, number of classes, SVD ranks of fc6 and fc7) -> Detector.
    needs_proposals: whether its batches carry proposals from a file (Selective Search).
    default_threshold: experiment -> the score from which a detection is worth drawing.
    """

    build: Callable[[Any, int, Ranks], Detector]
    needs_proposals: bool
    default_threshold: Callable[[Any], float]


def build_detector(experiment: Experiment, class_names: tuple[str, ...], *, svd_ranks: Ranks = WHOLE) -> Detector:
    """Build the detector of an experiment.

    Args:
      class_names: of the data set, without the background.
      svd_ranks: of parameters that nets.svd.compress made.
    """
    return SYSTEMS[experiment.system].build(experiment, len(class_names), svd_ranks)


def build_alternating(experiment: FasterRcnnAlternating, class_names: tuple[str, ...]) -> tuple[Detector, Detector]:
    """Build the two detectors that 4-step training alternates between: the RPN alone, and Fast R-CNN.

    The RPN predicts the proposals that Fast R-CNN trains on.

    Raises:
      InputError: head.inclusive_boxes, which the two do not have.
    """
    if experiment.head.inclusive_boxes:
        raise InputError("head.inclusive_boxes must be False for 4-step training, got True; remove it.")
    num_classes = len(class_names)
    net, rpn = _build_region_net_and_rpn(experiment, num_classes, WHOLE)
    head = fast_rcnn(net, num_classes=num_classes, **keywords(experiment.head, "delta_std", "inclusive_boxes"))
    return rpn_detector(net, rpn), head


def build_crop_net(experiment: Rcnn, num_classes: int) -> CropNet:
    """Build R-CNN's net over crops; all crops are of one size, so it always rounds as Caffe does."""
    return crop_net(num_classes=num_classes, **keywords(experiment.net, "pool_rounding"))


def build_fast_rcnn_net(experiment: FastRcnn, num_classes: int, svd_ranks: Ranks = WHOLE) -> RegionNet:
    """Build Fast R-CNN's net, without an RPN."""
    return region_net(**keywords(experiment.net), num_classes=num_classes, num_anchors=0, svd_ranks=svd_ranks)


def param_shapes(detector: Detector) -> Params:
    """Return the shapes and dtypes of a detector's parameters."""
    return jax.eval_shape(detector.init, jax.random.key(0))


def check_params(params: Params, detector: Detector, what: str) -> None:
    """Raise InputError where `params`, which came from `what`, do not have the detector's shapes.

    Layers besides those are not checked: SVMs and box regressors are fitted after training.
    """
    got, wanted = (
        {path: leaf.shape for path, leaf in flatten(tree).items()} for tree in (params, param_shapes(detector))
    )
    wrong = [f"{path} {got.get(path)} for {shape}" for path, shape in wanted.items() if got.get(path) != shape]
    if wrong:
        raise InputError(
            f"{what} does not fit the config ({'; '.join(wrong[:3])}); use the config it was trained with."
        )


def anchors_of(experiment: Experiment, height: int, width: int) -> np.ndarray | None:
    """Return all anchors of images of a bucket, f32[N,4]; None for a system without anchors.

    On the last level of a pyramid they may differ by some pixels, see models.anchor_grid.
    """
    strides: tuple[int, ...]
    if isinstance(experiment, FasterRcnnFpn):
        strides, bases = (*STRIDES, 2 * STRIDES[-1]), pyramid_anchors(experiment.anchors)
    elif isinstance(experiment, FasterRcnn | FasterRcnnAlternating):
        strides, bases = (STRIDE,), base_anchors(**keywords(experiment.anchors), stride=STRIDE)[None]
    else:
        return None
    levels = [
        grid_anchors(base, (-(-height // stride), -(-width // stride)), stride=stride)
        for base, stride in zip(bases, strides, strict=True)
    ]
    return np.concatenate(levels)


def pyramid_anchors(anchors: PyramidAnchors) -> np.ndarray:
    """Return the anchors of the first cell of each level, f32[L,A,4], finest level first, as torchvision has them.

    Raises:
      InputError: there is not one size for each level, or a size or ratio is not above 0.
    """
    if len(anchors.sizes) != LEVELS:
        raise InputError(f"anchors.sizes must have one size for each of {LEVELS} levels, got {anchors.sizes}.")
    above_zero("anchors.sizes", anchors.sizes, "(32.0, 64.0, 128.0, 256.0, 512.0)")
    shape: dict[str, Any] = {"stride": 1, "ratios": anchors.ratios, "convention": "torchvision"}
    return np.stack([base_anchors(scales=(size,), **shape) for size in anchors.sizes])


def _build_region_net_and_rpn(
    experiment: FasterRcnn | FasterRcnnAlternating, num_classes: int, svd_ranks: Ranks
) -> tuple[RegionNet, Rpn]:
    anchors = base_anchors(**keywords(experiment.anchors), stride=STRIDE)
    net = region_net(**keywords(experiment.net), num_classes=num_classes, num_anchors=len(anchors), svd_ranks=svd_ranks)
    return net, region_proposal_network(net, anchors, **keywords(experiment.rpn))


def _build_faster_rcnn(experiment: FasterRcnn, num_classes: int, svd_ranks: Ranks) -> Detector:
    net, rpn = _build_region_net_and_rpn(experiment, num_classes, svd_ranks)
    return faster_rcnn(net, rpn, **keywords(experiment.head))


def _build_faster_rcnn_fpn(experiment: FasterRcnnFpn, num_classes: int, svd_ranks: Ranks) -> Detector:
    anchors = pyramid_anchors(experiment.anchors)
    counts = {"num_classes": num_classes, "num_anchors": anchors.shape[1]}
    net = fpn_net(**keywords(experiment.net), **counts, svd_ranks=svd_ranks)
    rpn = region_proposal_network(net, anchors, **keywords(experiment.rpn))
    return faster_rcnn(net, rpn, **keywords(experiment.head))


def _build_fast_rcnn(experiment: FastRcnn, num_classes: int, svd_ranks: Ranks) -> Detector:
    net = build_fast_rcnn_net(experiment, num_classes, svd_ranks)
    return fast_rcnn(net, num_classes=num_classes, **keywords(experiment.head))


def _build_rcnn(experiment: Rcnn, num_classes: int, svd_ranks: Ranks) -> Detector:
    return rcnn(build_crop_net(experiment, num_classes), **keywords(experiment.head, "sampling"))


def _half(experiment: Experiment) -> float:
    return 0.5


def _margin_or_half(experiment: FastRcnn | Rcnn) -> float:
    return 0.0 if experiment.head.scoring == "svm" else 0.5


SYSTEMS = {
    "faster_rcnn": System(build=_build_faster_rcnn, needs_proposals=False, default_threshold=_half),
    "faster_rcnn_fpn": System(build=_build_faster_rcnn_fpn, needs_proposals=False, default_threshold=_half),
    "fast_rcnn": System(build=_build_fast_rcnn, needs_proposals=True, default_threshold=_margin_or_half),
    "rcnn": System(build=_build_rcnn, needs_proposals=True, default_threshold=_margin_or_half),
}
