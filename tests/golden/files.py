"""Golden files, and the net whose parameters the files of two whole detectors hold."""

import dataclasses
import pathlib

import jax.numpy as jnp
import numpy as np

from jaxdet.nets.region_net import RegionNet, region_net
from jaxdet.types import Batch

GOLDEN = pathlib.Path(__file__).parent
EMPTY_SLOT, NO_LABEL, NO_PROPOSALS = np.zeros((1, 4)), np.zeros(1), np.zeros((0, 4))


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


def one_image_batch(
    image: np.ndarray,
    *,
    size: tuple[int, int] | None = None,
    boxes: np.ndarray = EMPTY_SLOT,
    labels: np.ndarray = NO_LABEL,
    proposals: np.ndarray = NO_PROPOSALS,
) -> Batch:
    """Return a batch of one image [H,W,3] at scale 1; ground truth of label 0 is an empty slot.

    Args:
      size: height and width of the image within [H,W]; None for all of it.
      boxes: [G,4] ground truth.
      labels: [G]
      proposals: [P,4], all valid.
    """
    return Batch(
        image=jnp.asarray(image)[None],
        image_size=jnp.asarray([size or image.shape[:2]], jnp.float32),
        scale=jnp.ones(1),
        image_id=jnp.zeros(1, jnp.int32),
        image_valid=jnp.ones(1, bool),
        gt_boxes=jnp.asarray(boxes, jnp.float32)[None],
        gt_labels=jnp.asarray(labels, jnp.int32)[None],
        gt_valid=jnp.asarray(labels > 0)[None],
        proposals=jnp.asarray(proposals, jnp.float32)[None],
        proposals_valid=jnp.ones((1, len(proposals)), bool),
    )
