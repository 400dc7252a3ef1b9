"""The parameters of r50fpn.npz, which holds none: each is made of the file's seed and its own name."""

import zlib

import numpy as np

STD = {
    "rpn.head.cls_logits.weight": 0.05,
    "rpn.head.bbox_pred.weight": 0.01,
    "roi_heads.box_predictor.cls_score.weight": 0.08,
    "roi_heads.box_predictor.bbox_pred.weight": 0.01,
}


def state_dict(seed: int, *, channels: int = 64, hidden: int = 1024, classes: int = 91) -> dict[str, np.ndarray]:
    """Return the state dict of torchvision's fasterrcnn_resnet50_fpn (0.29) with these parameters.

    `channels` are those of conv1 (64), `hidden` those of fc6 and fc7; smaller ones make a narrow net.
    """
    return {name: parameter(name, shape, seed) for name, shape in shapes(channels, hidden, classes).items()}


def shapes(channels: int, hidden: int, classes: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the state dict by name."""
    found: dict[str, tuple[int, ...]] = {}

    def conv_norm(conv, norm, out, inputs, side):
        found[f"{conv}.weight"] = (out, inputs, side, side)
        found.update({f"{norm}.{leaf}": (out,) for leaf in ("weight", "bias", "running_mean", "running_var")})

    def layer(name, *shape):
        found.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

    body, level = "backbone.body.", 4 * channels
    conv_norm(f"{body}conv1", f"{body}bn1", channels, 3, 7)
    inputs = channels
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        middle = channels * 2 ** (stage - 1)
        for block in range(blocks):
            name = f"{body}layer{stage}.{block}"
            if block == 0:
                conv_norm(f"{name}.downsample.0", f"{name}.downsample.1", 4 * middle, inputs, 1)
            conv_norm(f"{name}.conv1", f"{name}.bn1", middle, inputs, 1)
            conv_norm(f"{name}.conv2", f"{name}.bn2", middle, middle, 3)
            conv_norm(f"{name}.conv3", f"{name}.bn3", 4 * middle, middle, 1)
            inputs = 4 * middle
        layer(f"backbone.fpn.inner_blocks.{stage - 1}.0", level, inputs, 1, 1)
        layer(f"backbone.fpn.layer_blocks.{stage - 1}.0", level, level, 3, 3)
    layer("rpn.head.conv.0.0", level, level, 3, 3)
    layer("rpn.head.cls_logits", 3, level, 1, 1)
    layer("rpn.head.bbox_pred", 12, level, 1, 1)
    layer("roi_heads.box_head.fc6", hidden, 49 * level)
    layer("roi_heads.box_head.fc7", hidden, hidden)
    layer("roi_heads.box_predictor.cls_score", classes, hidden)
    layer("roi_heads.box_predictor.bbox_pred", 4 * classes, hidden)
    return found


def parameter(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return one entry of the state dict, f32."""
    normal = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape, dtype=np.float32)
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(normal)
    if name.endswith("running_mean"):
        return 0.1 * normal
    if ".bn" in name or ".downsample.1." in name:
        return (0.2 if ".bn3." in name else 1.0) + 0.05 * normal if name.endswith("weight") else 0.05 * normal
    if name.endswith("bias"):
        return 0.05 * normal
    fan_in = np.prod(shape[1:])
    std = np.sqrt(1 / fan_in) if "fpn" in name else STD.get(name, np.sqrt(2 / fan_in))
    return np.float32(std) * normal


def torch_name(layer: str) -> str:
    """Return torchvision's name of a layer of jaxdet's."""
    heads = {
        "rpn_conv": "rpn.head.conv.0.0",
        "rpn_cls_score": "rpn.head.cls_logits",
        "rpn_bbox_pred": "rpn.head.bbox_pred",
        "fc6": "roi_heads.box_head.fc6",
        "fc7": "roi_heads.box_head.fc7",
        "cls_score": "roi_heads.box_predictor.cls_score",
        "bbox_pred": "roi_heads.box_predictor.bbox_pred",
    }
    if layer in heads:
        return heads[layer]
    if layer.startswith("fpn_"):
        _, kind, level = layer.split("_")
        return f"backbone.fpn.{kind}_blocks.{level}.0"
    return f"backbone.body.{layer.replace('_', '.')}".replace("downsample", "downsample.0")
