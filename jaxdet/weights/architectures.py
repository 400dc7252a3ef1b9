"""Recognition of a network by the names of its parameters."""

import re
from collections.abc import Iterable

# The first pattern that matches any name decides, so a network comes before those that share its names.
_PATTERNS = (
    (r"^backbone\.body\.layer1\.", "torchvision's Faster R-CNN with ResNet-50 and FPN"),
    (r"(^|\.)layer1\.|^conv2_block1_|^res2a_", "a ResNet"),
    (r"features\.1\.running_mean", "VGG with batch normalisation"),
    (r"denseblock", "DenseNet"),
    (r"\.squeeze\.", "SqueezeNet"),
    (r"Mixed_|^mixed\d", "Inception"),
    (r"encoder\.layers?\.|patch_embed|conv_proj", "a vision transformer"),
    (r"features\.\d+\.\d+\.|features\.\d+\.conv\.|^conv_dw_|^block1a_", "a MobileNet or EfficientNet"),
    (r"^extractor\.28\.", "simple-faster-rcnn-pytorch's Faster R-CNN"),
    (r"^backbone\.28\.", "torchvision's Faster R-CNN with VGG16"),
    (r"^features\.34\.|^block3_conv4", "VGG19"),
    (r"^features\.28\.|^block5_conv3", "VGG16"),
    (r"^features\.22\.", "VGG13"),
    (r"^features\.18\.", "VGG11"),
    (r"^features\.10\.", "AlexNet"),
    (r"^conv5\.weight$", "CaffeNet or ZF-Net"),
)


def looks_like(names: Iterable[str]) -> str:
    """Return the network that parameters of these names belong to, in words; 'no network known here' if none fits."""
    names = [str(name) for name in names]
    for pattern, network in _PATTERNS:
        if any(re.search(pattern, name) for name in names):
            return network
    return "no network known here"
