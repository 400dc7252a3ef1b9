"""Parameters of torchvision's Faster R-CNN with VGG16 under jaxdet's names and layouts.

Plain arrays in, plain arrays out: reading a checkpoint file is not this module's business.
"""

from collections.abc import Mapping

import numpy as np

# features.N of torchvision's VGG16 -> layer
VGG16_LAYERS = {
    0: "conv1_1", 2: "conv1_2",
    5: "conv2_1", 7: "conv2_2",
    10: "conv3_1", 12: "conv3_2", 14: "conv3_3",
    17: "conv4_1", 19: "conv4_2", 21: "conv4_3",
    24: "conv5_1", 26: "conv5_2", 28: "conv5_3",
}  # fmt: skip


def torchvision_faster_rcnn(state: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """The parameters of FasterRCNN(backbone=vgg16().features[:-1], TwoMLPHead) from its state dict of f32 arrays.

    torchvision's RPN has one logit an anchor, jaxdet's two (background, object): the background logit becomes the
    constant 0, which gives the same probabilities. Convolutions go from OIHW to HWIO, linear layers from [out, in] to
    [in, out]; fc6 reads features flattened as (C, H, W) there and (H, W, C) here.
    """
    params = {name: _conv(state, f"backbone.{index}") for index, name in VGG16_LAYERS.items()}
    params["rpn_conv"] = _conv(state, "rpn.head.conv.0.0")
    objects = _conv(state, "rpn.head.cls_logits")
    params["rpn_cls_score"] = {name: _after_zeros(leaf) for name, leaf in objects.items()}
    params["rpn_bbox_pred"] = _conv(state, "rpn.head.bbox_pred")
    channels = params["conv5_3"]["bias"].size
    params["fc6"] = _linear(state, "roi_heads.box_head.fc6")
    params["fc6"]["kernel"] = _rows_from_chw(params["fc6"]["kernel"], channels)
    params["fc7"] = _linear(state, "roi_heads.box_head.fc7")
    params["cls_score"] = _linear(state, "roi_heads.box_predictor.cls_score")
    params["bbox_pred"] = _linear(state, "roi_heads.box_predictor.bbox_pred")
    return params


def _conv(state, name):
    return {"kernel": state[f"{name}.weight"].transpose(2, 3, 1, 0), "bias": state[f"{name}.bias"]}


def _linear(state, name):
    return {"kernel": state[f"{name}.weight"].T, "bias": state[f"{name}.bias"]}


def _after_zeros(leaf):
    """[..., A] object logits -> [..., 2A]: each anchor's (background, object), the background zero."""
    return np.stack([np.zeros_like(leaf), leaf], axis=-1).reshape(*leaf.shape[:-1], -1)


def _rows_from_chw(kernel, channels):
    side = round((kernel.shape[0] // channels) ** 0.5)
    return kernel.reshape(channels, side, side, -1).transpose(1, 2, 0, 3).reshape(kernel.shape)
