"""Parameters of the authors' own detectors, published as Caffe models, under jaxdet's names and layouts.

py-faster-rcnn's Faster R-CNN (VGG16, ZF), fast-rcnn's Fast R-CNN (CaffeNet, VGG_CNN_M_1024, VGG16) and the fine-tuned
CaffeNet of rcnn. All functions take the arrays that `caffe_file` reads.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from jaxdet.checks import InputError
from jaxdet.types import Params
from jaxdet.weights.layers import (
    TORCH,
    VGG16_LAYERS,
    Layer,
    convert,
    five_convolutions,
    fully_connected,
    vgg16_convolutions,
)

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class CaffeDetector:
    """A detector that a Caffe model holds.

    system: 'faster_rcnn', 'fast_rcnn' or 'rcnn'.
    backbone: 'vgg16', 'zf', 'alexnet' or 'vgg_m'.
    params: bbox_pred predicts deltas that are not normalised; rcnn has no SVMs and no box regressors yet.
    """

    system: str
    backbone: str
    params: Params


_RPN_CONVOLUTIONS = ("rpn_conv/3x3", "rpn_conv1")  # of VGG16 and of the others in py-faster-rcnn
_CLASS_SCORES = ("cls_score", "fc8_pascal")  # the second in rcnn
# The classifier of ImageNet's 1,000 classes, where a file still has it.
_IGNORED = ("fc8",)


def caffe_detector(arrays: Arrays) -> CaffeDetector:
    """Return the detector whose layers these are.

    Raises:
      InputError: no detector that is known here (names its layers); layers that are missing or of another shape.
    """
    backbone = _backbone(arrays)
    scores = next((name for name in _CLASS_SCORES if f"{name}.weight" in arrays), None)
    if backbone is None or scores is None:
        names = ", ".join(sorted({name.rpartition(".")[0] for name in arrays}))
        raise InputError(
            "the layers must be those of py-faster-rcnn's, fast-rcnn's or rcnn's detectors (conv1_1 or conv1 ... fc7, "
            f"cls_score, bbox_pred), got {names}; give such a .caffemodel."
        )
    rpn_conv = next((name for name in _RPN_CONVOLUTIONS if f"{name}.weight" in arrays), None)

    # List the layers that the file must hold.
    layers, features = _convolutions(backbone)
    if rpn_conv:
        layers += [
            Layer("rpn_conv", rpn_conv, features),
            Layer("rpn_cls_score", "rpn_cls_score", "rpn_conv", side=1),
            Layer("rpn_bbox_pred", "rpn_bbox_pred", "rpn_conv", side=1, outputs=("rpn_cls_score", 2)),
        ]
    cells = 49 if backbone == "vgg16" else 36
    layers += [
        *fully_connected("fc6", "fc7", reads=features, cells=cells),
        Layer("cls_score", scores, "fc7", side=0),
    ]
    has_boxes = "bbox_pred.weight" in arrays
    if has_boxes:
        layers.append(Layer("bbox_pred", "bbox_pred", "fc7", side=0, outputs=("cls_score", 4)))

    # Convert them.
    system = "faster_rcnn" if rpn_conv else "fast_rcnn" if has_boxes else "rcnn"
    params = convert(arrays, layers, TORCH, what=f"Caffe's {backbone} of {system}", ignored=_IGNORED)
    if rpn_conv:
        params["rpn_cls_score"] = {name: _by_anchor(leaf) for name, leaf in params["rpn_cls_score"].items()}
    return CaffeDetector(system, backbone, params)


def _backbone(arrays: Arrays) -> str | None:
    """Return the backbone by its names and kernels; ZF-Net's conv3 is wider than its conv5, VGG_M's is not."""
    if "conv5_3.weight" in arrays:
        return "vgg16"
    side = arrays["conv1.weight"].shape[-1] if "conv1.weight" in arrays else None
    if side == 7 and {"conv3.bias", "conv5.bias"} <= set(arrays):
        return "zf" if arrays["conv3.bias"].size > arrays["conv5.bias"].size else "vgg_m"
    return "alexnet" if side == 11 else None


def _convolutions(backbone: str) -> tuple[list[Layer], str]:
    """Return the layers of a backbone, and the name of the last."""
    if backbone == "vgg16":
        return vgg16_convolutions({name: name for name in VGG16_LAYERS}), "conv5_3"
    return five_convolutions(backbone), "conv5"


def _by_anchor(leaf: np.ndarray) -> np.ndarray:
    """Reorder logits [..., 2A] from all backgrounds, then all objects, to (background, object) of each anchor."""
    return leaf.reshape(*leaf.shape[:-1], 2, -1).swapaxes(-1, -2).reshape(leaf.shape)
