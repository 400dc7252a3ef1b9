"""Parameters of PyTorch's networks under jaxdet's names and layouts.

Plain arrays in, plain arrays out: `torch_file` reads the files. Convolutions go from OIHW to HWIO, linear layers from
[out, in] to [in, out]; fc6 reads features flattened as (channel, row, column) there and (row, column, channel) here.
All functions take state dicts of arrays and raise one InputError that names everything missing, unknown or misshapen.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.weights.architectures import looks_like
from jaxdet.weights.layers import TORCH, Layer, Params, convert, fully_connected, vgg16_layers

# features.N of torchvision's VGG16 -> layer
VGG16_LAYERS = {
    0: "conv1_1", 2: "conv1_2",
    5: "conv2_1", 7: "conv2_2",
    10: "conv3_1", 12: "conv3_2", 14: "conv3_3",
    17: "conv4_1", 19: "conv4_2", 21: "conv4_3",
    24: "conv5_1", 26: "conv5_2", 28: "conv5_3",
}  # fmt: skip
# (kernel's side, groups) of conv1 to conv5
CAFFENET = ((11, 1), (5, 2), (3, 1), (3, 2), (3, 2))
ZF = ((7, 1), (5, 1), (3, 1), (3, 1), (3, 1))
VGG16, TORCHVISION, SIMPLE = (
    "VGG16",
    "torchvision's Faster R-CNN with VGG16",
    "simple-faster-rcnn-pytorch's Faster R-CNN",
)


def identify(state: Mapping[str, Any]) -> str:
    """Which of the functions below reads a state dict: 'vgg16' (`vgg16_classifier`), 'torchvision_faster_rcnn' or
    'simple_faster_rcnn'.

    Raises:
      InputError: the names are those of another network, which it names where it is a common one.
    """
    known = {VGG16: "vgg16", TORCHVISION: "torchvision_faster_rcnn", SIMPLE: "simple_faster_rcnn"}
    network = looks_like(state)
    if network not in known:
        names = ", ".join(list(state)[:3]) or "nothing"
        raise InputError(f"the weights must be of {VGG16}, {TORCHVISION} or {SIMPLE}, got {network} ({names}, ...).")
    return known[network]


def state_dict(contents: Any) -> Mapping[str, np.ndarray]:
    """The state dict in what a file holds: the contents themselves, or those under 'model' or 'state_dict'."""
    for key in ("model", "state_dict"):
        if isinstance(contents, Mapping) and isinstance(contents.get(key), Mapping):
            contents = contents[key]
    if not isinstance(contents, Mapping) or not all(isinstance(name, str) for name in contents):
        got = type(contents).__name__
        raise InputError(f"the file must hold a state dict of named arrays, got a {got}; save model.state_dict().")
    return contents


def classifier(state: Mapping[str, np.ndarray]) -> Params:
    """The convolutions, fc6 and fc7 of VGG16 (`vgg16_classifier`), CaffeNet or ZF-Net; their last layer is left out.

    CaffeNet and ZF-Net as converted from Caffe keep its names: conv1.weight to fc8.bias. A file of the convolutions
    alone gives no fc6 and fc7. torchvision's AlexNet is another network and refused.
    """
    network = looks_like(state)
    if network == "AlexNet":
        raise InputError(
            "the weights must be of Caffe's AlexNet, got torchvision's, which has 64 and 192 channels in conv1 and "
            "conv2 where Caffe's has 96 and 256, no groups and no LRN; give a state dict converted from CaffeNet."
        )
    if network != "CaffeNet or ZF-Net":
        return vgg16_classifier(state)
    zf = getattr(state.get("conv1.weight"), "shape", ())[2:] == (7, 7)
    names = ("", *(f"conv{i}" for i in range(1, 6)))
    layers = [
        Layer(name, name, reads, side=side, groups=groups)
        for name, reads, (side, groups) in zip(names[1:], names[:-1], ZF if zf else CAFFENET, strict=True)
    ]
    if any(name.startswith("fc") for name in state):
        layers += fully_connected("fc6", "fc7", reads="conv5", cells=36)
    return convert(state, layers, TORCH, what="ZF-Net" if zf else "CaffeNet", unread=["fc8"])


def vgg16_classifier(state: Mapping[str, np.ndarray]) -> Params:
    """conv1_1 to conv5_3, fc6 and fc7 of torchvision's VGG16 classifier; its last layer is left out.

    The files converted from Caffe have the same names, or jcjohnson's: classifier.1 and 4 in place of 0 and 3. A file
    of the features alone gives no fc6 and fc7.
    """
    layers = _backbone("features")
    if "classifier.1.weight" in state:
        layers += fully_connected("classifier.1", "classifier.4")
    elif any(name.startswith("classifier.") for name in state):
        layers += fully_connected("classifier.0", "classifier.3")
    return convert(state, layers, TORCH, what=VGG16, unread=["classifier.6"])


def torchvision_faster_rcnn(state: Mapping[str, np.ndarray]) -> Params:
    """The parameters of FasterRCNN(backbone=vgg16().features[:-1], TwoMLPHead) of torchvision.

    Its RPN has one logit an anchor, jaxdet's two (background, object): the background logit becomes the constant 0,
    which gives the same probabilities. Its deltas are weighted by (10, 10, 5, 5): delta_std (0.1, 0.1, 0.2, 0.2).
    """
    # a single convolution before torchvision 0.13
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
    params["rpn_cls_score"] = {name: _after_zeros(leaf) for name, leaf in params["rpn_cls_score"].items()}
    return params


def simple_faster_rcnn(state: Mapping[str, np.ndarray]) -> Params:
    """The parameters of simple-faster-rcnn-pytorch's FasterRCNNVGG16.

    Boxes and deltas are y first there and x first here. Both have two logits an anchor (background, object), and deltas
    normalised by the standard deviation: delta_std (0.1, 0.1, 0.2, 0.2).
    """
    # with dropout between them the linear layers are 0 and 3
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


def _backbone(prefix):
    return vgg16_layers({name: f"{prefix}.{index}" for index, name in VGG16_LAYERS.items()})


def _after_zeros(leaf):
    """[..., A] object logits -> [..., 2A]: each anchor's (background, object), the background zero."""
    return np.stack([np.zeros_like(leaf), leaf], axis=-1).reshape(*leaf.shape[:-1], -1)


def _x_first(leaf):
    """[..., 4n] deltas (dy, dx, dh, dw) -> (dx, dy, dw, dh)."""
    return leaf.reshape(*leaf.shape[:-1], -1, 4)[..., [1, 0, 3, 2]].reshape(leaf.shape)
