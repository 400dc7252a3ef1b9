"""Parameters of ResNet-50, and of torchvision's Faster R-CNN over it, under jaxdet's names and layouts.

Every batch norm becomes the scale and bias that it applies at test time; see nets.resnet50.FrozenNorm.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.nets.sizes import RESNET50_STAGES
from jaxdet.types import Params
from jaxdet.weights.architectures import looks_like
from jaxdet.weights.layers import TORCH, Layer, convert, fully_connected
from jaxdet.weights.torch import TORCHVISION_FPN, with_background

RESNET50 = "ResNet-50"
IMAGENET_EPS = 1e-5  # of the batch norms of torchvision's and timm's classifiers
# torchvision sets its frozen norms to 0 for the published COCO detector, which was trained so.
COCO_EPS = 0.0
NORM_LEAVES = ("weight", "bias", "running_mean", "running_var")


def resnet50_classifier(state: Mapping[str, Any]) -> Params:
    """Return the convolutions and frozen norms of torchvision's or timm's ResNet-50, without its last layer.

    Raises:
      InputError: one error for all names that are missing, unknown or of another shape.
    """
    return _convert(state, _convolutions(""), [], eps=IMAGENET_EPS, what=RESNET50, ignored=["fc"])


def torchvision_faster_rcnn_fpn(state: Mapping[str, Any], *, eps: float = COCO_EPS) -> Params:
    """Return the parameters of torchvision's fasterrcnn_resnet50_fpn, of any number of classes.

    Its RPN has one logit per anchor, see weights.torch.torchvision_faster_rcnn.

    Args:
      eps: of its batch norms: 0 in the published COCO detector, 1e-5 where only the backbone was pretrained.

    Raises:
      InputError: see resnet50_classifier.
    """
    # Before torchvision 0.13 the convolutions outside the backbone were not wrapped.
    fpn = ".0" if "backbone.fpn.inner_blocks.0.0.weight" in state else ""
    rpn = ".0.0" if "rpn.head.conv.0.0.weight" in state else ""
    box_head, predictor = "roi_heads.box_head", "roi_heads.box_predictor"
    layers = []
    for i, (_, blocks) in enumerate(RESNET50_STAGES):
        reads = f"layer{i + 1}_{blocks - 1}_conv3"
        level = ("fpn_layer_0", 1)
        layers += [
            Layer(f"fpn_inner_{i}", f"backbone.fpn.inner_blocks.{i}{fpn}", reads, side=1, outputs=level),
            Layer(f"fpn_layer_{i}", f"backbone.fpn.layer_blocks.{i}{fpn}", f"fpn_inner_{i}", outputs=level),
        ]
    layers += [
        Layer("rpn_conv", f"rpn.head.conv{rpn}", "fpn_layer_0", outputs=level),
        Layer("rpn_cls_score", "rpn.head.cls_logits", "rpn_conv", side=1),
        Layer("rpn_bbox_pred", "rpn.head.bbox_pred", "rpn_conv", side=1, outputs=("rpn_cls_score", 4)),
        *fully_connected(f"{box_head}.fc6", f"{box_head}.fc7", reads="fpn_layer_0"),
        Layer("cls_score", f"{predictor}.cls_score", "fc7", side=0),
        Layer("bbox_pred", f"{predictor}.bbox_pred", "fc7", side=0, outputs=("cls_score", 4)),
    ]
    params = _convert(state, _convolutions("backbone.body."), layers, eps=eps, what=TORCHVISION_FPN)
    params["rpn_cls_score"] = {name: with_background(leaf) for name, leaf in params["rpn_cls_score"].items()}
    return params


def _convolutions(prefix: str) -> dict[Layer, str]:
    """Return the convolutions of ResNet-50, each with the name of its batch norm in the file."""
    convolutions = {Layer("conv1", f"{prefix}conv1", "", side=7): f"{prefix}bn1"}
    reads = "conv1"
    for stage, (_, blocks) in enumerate(RESNET50_STAGES, 1):
        for block in range(blocks):
            name, source = f"layer{stage}_{block}", f"{prefix}layer{stage}.{block}"
            shortcut = reads
            if block == 0:
                shortcut = f"{name}_downsample"
                convolutions[Layer(shortcut, f"{source}.downsample.0", reads, side=1)] = f"{source}.downsample.1"
            for i, side in ((1, 1), (2, 3), (3, 1)):
                outputs = (shortcut, 1) if i == 3 else None
                layer = Layer(f"{name}_conv{i}", f"{source}.conv{i}", reads, side=side, outputs=outputs)
                convolutions[layer] = f"{source}.bn{i}"
                reads = layer.name
    return convolutions


def _convert(
    state: Mapping[str, Any],
    convolutions: Mapping[Layer, str],
    others: list[Layer],
    *,
    eps: float,
    what: str,
    ignored: list[str] | None = None,
) -> Params:
    """Convert layers with a bias as weights.layers does, and convolutions with the bias that their norm adds."""
    state = {name: value for name, value in state.items() if not name.endswith(".num_batches_tracked")}
    _check_norms(state, list(convolutions.values()), what)
    scales = {}
    for layer, norm in convolutions.items():
        weight, bias, mean, variance = (np.asarray(state.pop(f"{norm}.{leaf}"), np.float64) for leaf in NORM_LEAVES)
        scales[layer.name] = (weight / np.sqrt(variance + eps)).astype(np.float32)
        state[f"{layer.source}.bias"] = (bias - mean * weight / np.sqrt(variance + eps)).astype(np.float32)
    params = convert(state, [*convolutions, *others], TORCH, what=what, ignored=ignored or [])
    for name, scale in scales.items():
        params[f"frozen_norm_{name}"] = {"scale": scale, "bias": params[name].pop("bias")}
    return params


def _check_norms(state: Mapping[str, Any], norms: list[str], what: str) -> None:
    """Raise InputError unless each norm has its four arrays, of one length and with positive variances."""
    names = [f"{norm}.{leaf}" for norm in norms for leaf in NORM_LEAVES]
    problems = [f"missing {', '.join(missing)}"] if (missing := sorted(set(names) - state.keys())) else []
    for norm in [] if missing else norms:
        shapes = {getattr(state[f"{norm}.{leaf}"], "shape", None) for leaf in NORM_LEAVES}
        if len(shapes) > 1 or None in shapes:
            problems.append(f"{norm} has arrays of the shapes {sorted(map(str, shapes))}")
        elif not (np.asarray(state[f"{norm}.running_var"], np.float64) > 0).all():
            problems.append(f"{norm}.running_var is not positive")
    if problems:
        raise InputError(
            f"the weights must have the names and shapes of {what}, got those of {looks_like(state)}: "
            f"{'; '.join(problems)}; give a file of {what}."
        )
