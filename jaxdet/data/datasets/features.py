"""The features of TFDS `voc`, shared by all data sets, and the conversion of their boxes.

VOC's boxes and those of the generated shapes are stored as TFDS `voc` stores them: 1-based coordinates as float32
fractions of the image's size. Reading therefore rounds them to hundredths of a pixel: exact for VOC's whole numbers, a
loss of at most 0.005 pixels for the shapes. Other formats (COCO, YOLO) have no 1-based numbers; their boxes are stored
as they are read: float32 pixels.
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


def features(class_names: tuple[str, ...], *, one_based: bool = True) -> tfds.features.FeaturesDict:
    """Return the features of TFDS `voc` for these classes; with `box` in place of `bbox` where not `one_based`."""
    box = (
        {"bbox": tfds.features.BBoxFeature()}
        if one_based
        else {"box": tfds.features.Tensor(shape=(4,), dtype=np.float32)}
    )
    label = tfds.features.ClassLabel(names=class_names)
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(
                {
                    "label": label,
                    **box,
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


def example(
    file_name: str, encoded: bytes, height: int, width: int, objects: list[VocObject], *, one_based: bool = True
) -> dict[str, Any]:
    """Return the TFDS example of an encoded image of height x width pixels, for `features` of the same `one_based`."""

    def stored(box: tuple[float, float, float, float]) -> dict[str, Any]:
        return {"bbox": stored_bbox(box, height, width)} if one_based else {"box": np.array(box, np.float32)}

    return {
        "image": encoded,
        "image/filename": file_name,
        "objects": [
            {
                "label": each.name,
                **stored(each.box),
                "pose": each.pose,
                "is_truncated": each.truncated,
                "is_difficult": each.difficult,
            }
            for each in objects
        ],
        "labels": sorted({each.name for each in objects}),
        "labels_no_difficult": sorted({each.name for each in objects if not each.difficult}),
    }
