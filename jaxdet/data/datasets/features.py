"""The features of TFDS `voc`, which every data set here has, and the one conversion of VOC's boxes."""

import dataclasses

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
    """The features of TFDS `voc`, with these classes."""
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
    """Stored boxes to the project's continuous ones: (xmin - 1, ymin - 1, xmax, ymax).

    TFDS stores VOC's 1-based inclusive numbers divided by the image's size, without subtracting 1; continuous boxes
    cover x1 <= x < x2, so only the minima move.

    Args:
        bbox: f32[G,4] as (ymin / height, xmin / width, ymax / height, xmax / width).

    Returns:
        f32[G,4], rounded to hundredths of a pixel, which restores the whole numbers float32 fractions have blurred.
    """
    ymin, xmin, ymax, xmax = (bbox.astype(np.float64) * (height, width, height, width)).T
    return np.round(np.stack([xmin - 1, ymin - 1, xmax, ymax], axis=1), 2).astype(np.float32)


def stored_bbox(box: tuple[float, float, float, float], height: int, width: int) -> tfds.features.BBox:
    """A continuous box as TFDS `voc` stores it, the inverse of `continuous_boxes`."""
    x1, y1, x2, y2 = box
    return tfds.features.BBox(ymin=(y1 + 1) / height, xmin=(x1 + 1) / width, ymax=y2 / height, xmax=x2 / width)


def example(file_name: str, encoded: bytes, height: int, width: int, objects: list[VocObject]) -> dict:
    """One TFDS example of an encoded image of height x width pixels."""
    return {
        "image": encoded,
        "image/filename": file_name,
        "objects": [
            {
                "label": thing.name,
                "bbox": stored_bbox(thing.box, height, width),
                "pose": thing.pose,
                "is_truncated": thing.truncated,
                "is_difficult": thing.difficult,
            }
            for thing in objects
        ],
        "labels": sorted({thing.name for thing in objects}),
        "labels_no_difficult": sorted({thing.name for thing in objects if not thing.difficult}),
    }
