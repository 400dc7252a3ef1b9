"""Sections of the experiment config: their fields with type, minimum and meaning.

Most sections are the keyword arguments of the function that their docstring names.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from jaxdet.config.limits import Count, Fraction, Most, Positive

MAY_CHANGE = "(may change on resume)"  # marks a field that cannot change the result; about images their hash decides
CONTINUES = "(may change on resume: training continues with it)"  # marks a field that changes the result
PathText = Annotated[str, Path]  # parse replaces ~ by the home folder


@dataclass(frozen=True, kw_only=True)
class Splits:
    train: Annotated[str, "split to train on"]
    validation: Annotated[str, "split to validate on during training; empty: none"]
    test: Annotated[str, "split that evaluate.py scores; empty: none", MAY_CHANGE]


@dataclass(frozen=True, kw_only=True)
class Input:
    """data.pipeline: resizing and batching."""

    short_side: Annotated[Positive, "images are resized to this short side, in pixels"]
    long_side: Annotated[Positive, "... unless the long side would exceed this"]
    flip: Annotated[bool, "mirror each training image with probability 1/2"]
    max_gt: Annotated[Positive, "ground-truth slots per image; the largest objects are used"]
    use_difficult: Annotated[bool, "train on objects marked difficult"]
    drop_empty: Annotated[bool, "leave out training images without objects; False: train on them as background"]
    workers: Annotated[Positive, "threads that decode and resize", MAY_CHANGE]


@dataclass(frozen=True, kw_only=True)
class AugmentationFields:
    """data.augment.Augmentation: random changes of the training images, beside input.flip."""

    scale: Annotated[tuple[float, float], 0.0, "factor of the resize scale, from low to high; (1.0, 1.0): none"] = (
        1.0,
        1.0,
    )
    crop: Annotated[Fraction, "least share of height and width in a random crop; 1.0: none"] = 1.0
    min_object_area: Annotated[Fraction, "an object of which a crop leaves a smaller share is dropped"] = 0.3
    brightness: Annotated[float, 0.0, Most(1.0, allowed=False), "brightness is multiplied by 1 - x to 1 + x"] = 0.0
    contrast: Annotated[float, 0.0, Most(1.0, allowed=False), "contrast is multiplied by 1 - x to 1 + x"] = 0.0
    saturation: Annotated[float, 0.0, Most(1.0, allowed=False), "saturation is multiplied by 1 - x to 1 + x"] = 0.0
    hue: Annotated[float, 0.0, Most(0.5), "hue is turned by at most this share of the colour circle"] = 0.0


@dataclass(frozen=True, kw_only=True)
class SelectiveSearch:
    """proposals.search.search_split: Selective Search."""

    max_boxes: Annotated[Positive, "best boxes per image"]
    min_side: Annotated[float, 0.0, "narrower boxes are dropped, in pixels of the resized image"]
    width: Annotated[Positive, "images are searched at this width, in pixels"]
    segment_sizes: Annotated[
        tuple[int, ...], 1, "k and least size of each segmentation (R-CNN: 50 and 100); empty: OpenCV's three"
    ] = ()
    workers: Annotated[Positive, "processes", MAY_CHANGE]
    file: Annotated[
        PathText, ".mat file of boxes that replace the search, {split} standing for the split; empty: none"
    ] = ""


@dataclass(frozen=True, kw_only=True)
class Linear:
    bbox_regression: Annotated[bool, "fit R-CNN's box regressors"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    batch_size: Annotated[Positive, "images per batch, over all devices and hosts"]
    pictures: Annotated[Count, "images drawn with their detections", MAY_CHANGE]
    detections_per_class: Annotated[
        Count, "average number of detections kept per class and image over the split; 0: all", MAY_CHANGE
    ]
    svd_ranks: Annotated[
        tuple[int, int], 0, "ranks of the compressed fc6 and fc7; 0 leaves a layer as trained", MAY_CHANGE
    ]
    match_at_threshold: Annotated[
        bool, "VOC metrics of evaluate.py match at IoU >= threshold (MATLAB devkit); False: only above it", MAY_CHANGE
    ] = False


def keywords(values: Any, *without: str) -> dict[str, Any]:
    """Return a section as the keyword arguments of its function; nested sections become dicts."""
    return {name: value for name, value in dataclasses.asdict(values).items() if name not in without}
