"""Parameters of PyTorch's networks under jaxdet's names and layouts.

All functions take the arrays of a network, which `state_dict` finds in what `torch_file` read, and return arrays.
Convolutions go from OIHW to HWIO, linear layers from [out, in] to [in, out]; fc6 reads features flattened as (channel,
row, column) in torch and (row, column, channel) here. One InputError names everything that is missing, unknown or of
another shape.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.types import Params
from jaxdet.weights.architectures import looks_like
from jaxdet.weights.layers import (
    TORCH,
    VGG16_LAYERS,
    Layer,
    convert,
    five_convolutions,
    fully_connected,
    some,
    vgg16_convolutions,
)

TIMM_FC = ("pre_logits.fc1.weight", "pre_logits.fc2.weight")
TORCHVISION_FPN = "torchvision's Faster R-CNN with ResNet-50 and FPN"
VGG16, TORCHVISION, SIMPLE = (
    "VGG16",
    "torchvision's Faster R-CNN with VGG16",
    "simple-faster-rcnn-pytorch's Faster R-CNN",
)


def identify(state: Mapping[str, Any]) -> str:
    """Return which function reads a state dict.

    'vgg16', whose function is `vgg16_classifier`, 'torchvision_faster_rcnn', 'torchvision_faster_rcnn_fpn' (of
    weights.resnet) or 'simple_faster_rcnn'.

    Raises:
      InputError: the names are those of another network; common ones are named.
    """
    readers = {VGG16: "vgg16", TORCHVISION: "torchvision_faster_rcnn", SIMPLE: "simple_faster_rcnn"}
    readers[TORCHVISION_FPN] = "torchvision_faster_rcnn_fpn"
    network = looks_like(state)
    if network not in readers:
        names = some(list(state)) or "nothing"
        raise InputError(
            f"the weights must be of {VGG16}, {TORCHVISION}, {TORCHVISION_FPN} or {SIMPLE}, got {network} ({names})."
        )
    return readers[network]


def classifier(state: Mapping[str, np.ndarray]) -> Params:
    """Return the convolutions, fc6 and fc7 of VGG16 (`vgg16_classifier`), CaffeNet or ZF-Net, without the last layer.

    Caffe's own files, and those converted from them, have its names: conv1.weight or conv1_1.weight to fc8.bias. A
    file with convolutions only gives no fc6 and fc7. torchvision's AlexNet is another network and refused.

    Raises:
      InputError: the names or shapes are those of another network.
    """
    network = looks_like(state)
    if network in (TORCHVISION, SIMPLE):
        raise InputError(f"the weights must be of a classifier, got {network}; convert it with convert.py.")
    if network == "AlexNet":
        raise InputError(
            "the weights must be of Caffe's AlexNet, got torchvision's, which has 64 and 192 channels in conv1 and "
            "conv2 where Caffe's has 96 and 256, no groups and no LRN; give a state dict converted from CaffeNet."
        )
    if "conv5_3.weight" in state:
        layers = vgg16_convolutions({name: name for name in VGG16_LAYERS})
        layers += fully_connected("fc6", "fc7") if "fc6.weight" in state else []
        return convert(state, layers, TORCH, what=VGG16, ignored=["fc8"])
    if network != "CaffeNet or ZF-Net":
        return vgg16_classifier(state)
    zf = getattr(state.get("conv1.weight"), "shape", ())[2:] == (7, 7)
    layers = five_convolutions("zf" if zf else "alexnet")
    if any(name.startswith("fc") for name in state):
        layers += fully_connected("fc6", "fc7", reads="conv5", cells=36)
    return convert(state, layers, TORCH, what="ZF-Net" if zf else "CaffeNet", ignored=["fc8"])


def vgg16_classifier(state: Mapping[str, np.ndarray]) -> Params:
    """Return conv1_1 to conv5_3, fc6 and fc7 of torchvision's or timm's VGG16, without its last layer.

    Files converted from Caffe have torchvision's names, or jcjohnson's: classifier.1 and 4 in place of 0 and 3. A file
    with features only, or with another classifier, gives no fc6 and fc7.
    """
    layers = _backbone("features")
    if "pre_logits.fc1.weight" in state:  # timm's, whose fully connected layers are convolutions of 7x7 and 1x1 cells
        state = {name: _as_linear(value) if name in TIMM_FC else value for name, value in state.items()}
        layers += fully_connected("pre_logits.fc1", "pre_logits.fc2")
        return convert(state, layers, TORCH, what=VGG16, ignored=["head.fc"])
    if {"classifier.1.weight", "classifier.4.weight"} <= state.keys():
        layers += fully_connected("classifier.1", "classifier.4")
    elif any(name.startswith(("classifier.0.", "classifier.3.")) for name in state):
        layers += fully_connected("classifier.0", "classifier.3")
    else:
        return convert(state, layers, TORCH, what=VGG16, ignored=["classifier"])
    return convert(state, layers, TORCH, what=VGG16, ignored=["classifier.6"])


def torchvision_faster_rcnn(state: Mapping[str, np.ndarray]) -> Params:
    """Return the parameters of torchvision's FasterRCNN(backbone=vgg16().features[:-1], TwoMLPHead).

    Its RPN has one logit per anchor, jaxdet's two (background, object): the background logit becomes the constant 0,
    which gives the same probabilities. Its deltas are weighted by (10, 10, 5, 5): delta_std (0.1, 0.1, 0.2, 0.2).
    """
    # A single convolution before torchvision 0.13.
    rpn_conv = "rpn.head.conv" if "rpn.head.conv.weight" in state else "rpn.head.conv.0.0"
    layers = [
        *_backbone("backbone"),
        Layer("rpn_conv", rpn_conv, "conv5_3"),
        Layer("rpn_cls_score", "rpn.head.cls_logits", "rpn_conv", side=1),
        Layer("rpn_bbox_pred", "rpn.head.bbox_pred", "rpn_conv", side=1, outputs=("rpn_cls_score", 4)),
        *fully_connected("roi_heads.box_head.fc6", "roi_heads.box_head.fc7"),
        Layer("cls_score", "roi_heads.box_predictor.cls_score", "fc7", side=0),
        Layer("bbox_pred", "roi_heads.box_predictor.bbox_pred", "fc7", side=0, outputs=("cls_score", 4)),
    ]
    params = convert(state, layers, TORCH, what=TORCHVISION)
    params["rpn_cls_score"] = {name: with_background(leaf) for name, leaf in params["rpn_cls_score"].items()}
    return params


def simple_faster_rcnn(state: Mapping[str, np.ndarray]) -> Params:
    """Return the parameters of simple-faster-rcnn-pytorch's FasterRCNNVGG16.

    Its boxes and deltas are y first, jaxdet's x first. Both have two logits per anchor (background, object), and deltas
    normalised by the standard deviation: delta_std (0.1, 0.1, 0.2, 0.2).
    """
    # With dropout between them the linear layers are 0 and 3.
    fc7 = "head.classifier.3" if "head.classifier.3.weight" in state else "head.classifier.2"
    layers = [
        *_backbone("extractor"),
        Layer("rpn_conv", "rpn.conv1", "conv5_3"),
        Layer("rpn_cls_score", "rpn.score", "rpn_conv", side=1),
        Layer("rpn_bbox_pred", "rpn.loc", "rpn_conv", side=1, outputs=("rpn_cls_score", 2)),
        *fully_connected("head.classifier.0", fc7),
        Layer("cls_score", "head.score", "fc7", side=0),
        Layer("bbox_pred", "head.cls_loc", "fc7", side=0, outputs=("cls_score", 4)),
    ]
    params = convert(state, layers, TORCH, what=SIMPLE)
    for name in ("rpn_bbox_pred", "bbox_pred"):
        params[name] = {leaf: _x_first(value) for leaf, value in params[name].items()}
    return params


def _backbone(prefix: str) -> list[Layer]:
    return vgg16_convolutions({name: f"{prefix}.{index}" for name, (_, index) in VGG16_LAYERS.items()})


def _as_linear(kernel: np.ndarray) -> np.ndarray:
    """Turn the kernel [out, in, h, w] of a convolution over all cells into a linear layer's, [out, in * h * w]."""
    return kernel.reshape(len(kernel), -1) if np.ndim(kernel) == 4 else kernel


def with_background(leaf: np.ndarray) -> np.ndarray:
    """Turn object logits [..., A] into [..., 2A]: (background, object) of each anchor, the background zero."""
    return np.stack([np.zeros_like(leaf), leaf], axis=-1).reshape(*leaf.shape[:-1], -1)


def _x_first(leaf: np.ndarray) -> np.ndarray:
    """Reorder deltas [..., 4n] from (dy, dx, dh, dw) to (dx, dy, dw, dh)."""
    return leaf.reshape(*leaf.shape[:-1], -1, 4)[..., [1, 0, 3, 2]].reshape(leaf.shape)
