"""Whole detectors of other projects: which it is, its parameters, and what its file says of the net."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

from jaxdet.checks import InputError
from jaxdet.types import Params
from jaxdet.weights.caffe import caffe_detector
from jaxdet.weights.caffe_file import is_caffemodel, read_caffemodel
from jaxdet.weights.file import read_weights
from jaxdet.weights.net_size import net_size
from jaxdet.weights.resnet import torchvision_faster_rcnn_fpn
from jaxdet.weights.state_dict import state_dict
from jaxdet.weights.torch import identify, simple_faster_rcnn, torchvision_faster_rcnn

_TORCH: dict[str, Callable[[Any], Params]] = {
    "simple_faster_rcnn": simple_faster_rcnn,
    "torchvision_faster_rcnn": torchvision_faster_rcnn,
    "torchvision_faster_rcnn_fpn": torchvision_faster_rcnn_fpn,
}


@dataclasses.dataclass(frozen=True)
class ForeignDetector:
    """A detector of another project.

    kind: which, for the log.
    system: as in config.system.
    net: fields of config.net that the file decides; preprocessing is '' where it does not say.
    unnormalised: bbox_pred predicts deltas as they are, not divided by a standard deviation.
    """

    kind: str
    system: str
    params: Params
    net: dict[str, Any]
    unnormalised: bool


def read_detector(file: str | os.PathLike) -> ForeignDetector:
    """Return the detector in a .pth, .safetensors or .caffemodel file.

    Raises:
      InputError: no such file; not a whole detector that is known here.
    """
    return _read_caffe(file) if is_caffemodel(file) else _read_torch(file)


def _read_torch(file: str | os.PathLike) -> ForeignDetector:
    saved = read_weights(file)
    try:
        tensors = state_dict(saved)
        kind = identify(tensors)
        params = _TORCH[kind](tensors) if kind in _TORCH else None
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    if params is None:
        raise InputError(
            f"--file must hold a whole detector, got {file} with {kind}; see training.pretrained_file for such."
        )
    if kind == "torchvision_faster_rcnn_fpn":
        net = {"preprocessing": "torchvision", **net_size(params, "resnet50")}
        return ForeignDetector(kind, "faster_rcnn_fpn", params, net, unnormalised=False)
    net = {
        "preprocessing": _preprocessing(saved, kind),
        "pool_rounding": "floor",
        "dropout_scaling": "train",
        **net_size(params, "vgg16"),
    }
    return ForeignDetector(kind, "faster_rcnn", params, net, unnormalised=False)


def _preprocessing(saved: Any, kind: str) -> str:
    """Return the preprocessing that the file states, '' where it states none."""
    if kind == "torchvision_faster_rcnn":
        return "torchvision"
    settings = saved.get("config") if isinstance(saved, dict) else None
    if not isinstance(settings, dict) or "caffe_pretrain" not in settings:
        return ""
    return "caffe_rgb_mean" if settings["caffe_pretrain"] else "torchvision"


def _read_caffe(file: str | os.PathLike) -> ForeignDetector:
    arrays = read_caffemodel(file)
    try:
        detector = caffe_detector(arrays)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    params, backbone = detector.params, detector.backbone
    net = {
        "backbone": backbone,
        "preprocessing": "caffe",
        "pool_rounding": "ceil",
        "dropout_scaling": "test" if backbone == "zf" else "train",
        **net_size(params, backbone),
    }
    kind = f"Caffe's {detector.system} with {backbone}"
    return ForeignDetector(kind, detector.system, params, net, unnormalised=True)
