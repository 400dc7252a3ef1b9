"""The features of TFDS `voc`, shared by all data sets, and the conversion of their boxes.

All data sets, the generated shapes too, are stored as TFDS `voc` stores them: 1-based box coordinates as float32
fractions of the image's size. Reading therefore rounds boxes to hundredths of a pixel: exact for VOC's whole numbers,
a loss of at most 0.005 pixels for other data.
"""

import dataclasses
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

POSES = ("frontal", "rear", "left", "right", "unspecified")


@dataclasses.dataclass(frozen=True)
class VocObject:
    """One annotated object."""

    name: str  # of its class
    box: tuple[float, float, float, float]  # continuous x1, y1, x2, y2 in pixels, inside the image
    difficult: bool = False
    truncated: bool = False
    pose: str = "unspecified"


def features(class_names: tuple[str, ...]) -> tfds.features.FeaturesDict:
    """Return the features of TFDS `voc` for these classes."""
    label = tfds.features.ClassLabel(names=class_names)
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(
                {
                    "label": label,
                    "bbox": tfds.features.BBoxFeature(),
                    "pose": tfds.features.ClassLabel(names=POSES),
                    "is_truncated": np.bool_,
                    "is_difficult": np.bool_,
                }
            ),
            "labels": tfds.features.Sequence(label),
            "labels_no_difficult": tfds.features.Sequence(label),
        }
    )


def continuous_boxes(bbox: np.ndarray, height: int, width: int) -> np.ndarray:
    """Convert stored boxes to continuous ones: (xmin - 1, ymin - 1, xmax, ymax).

    TFDS stores VOC's 1-based inclusive numbers divided by the image's size, without subtracting 1. Continuous boxes
    cover x1 <= x < x2, so only the minima change.

    Args:
      bbox: f32[G,4] as (ymin / height, xmin / width, ymax / height, xmax / width).
      height, width: of the image, in pixels.

    Returns:
      f32[G,4], rounded to hundredths of a pixel: this restores the whole numbers that float32 fractions blurred.
    """
    ymin, xmin, ymax, xmax = (bbox.astype(np.float64) * (height, width, height, width)).T
    return np.round(np.stack([xmin - 1, ymin - 1, xmax, ymax], axis=1), 2).astype(np.float32)


def stored_bbox(box: tuple[float, float, float, float], height: int, width: int) -> tfds.features.BBox:
    """Convert a continuous box to TFDS `voc`'s form, the inverse of `continuous_boxes`."""
    x1, y1, x2, y2 = box
    return tfds.features.BBox(ymin=(y1 + 1) / height, xmin=(x1 + 1) / width, ymax=y2 / height, xmax=x2 / width)


def example(file_name: str, encoded: bytes, height: int, width: int, objects: list[VocObject]) -> dict[str, Any]:
    """Return the TFDS example of an encoded image of height x width pixels."""
    return {
        "image": encoded,
        "image/filename": file_name,
        "objects": [
            {
                "label": each.name,
                "bbox": stored_bbox(each.box, height, width),
                "pose": each.pose,
                "is_truncated": each.truncated,
                "is_difficult": each.difficult,
            }
            for each in objects
        ],
        "labels": sorted({each.name for each in objects}),
        "labels_no_difficult": sorted({each.name for each in objects if not each.difficult}),
    }
