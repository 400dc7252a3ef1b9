"""Golden files, and the net whose parameters the files of two whole detectors hold."""

import dataclasses
import pathlib

import numpy as np

from jaxdet.nets.region_net import RegionNet, region_net

GOLDEN = pathlib.Path(__file__).parent


def load(*names: str) -> dict[str, np.ndarray]:
    """Return the arrays of the files NAME.npz."""
    arrays = {}
    for name in names:
        with np.load(GOLDEN / f"{name}.npz") as file:
            arrays |= dict(file)
    return arrays


def narrow_vgg16() -> RegionNet:
    """Build VGG16 with an eighth of its channels, a head of 64 and nine anchors; its images are preprocessed before."""
    net = region_net(
        backbone="vgg16",
        num_classes=20,
        num_anchors=9,
        width=1 / 8,
        head_features=64,
        dropout=0.0,
        pool_rounding="floor",
    )
    return dataclasses.replace(net, preprocess=lambda image: image)
