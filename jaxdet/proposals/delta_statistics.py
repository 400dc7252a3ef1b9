"""Mean and standard deviation of each class's box deltas over a training set (Fast R-CNN, 2.3)."""

from collections.abc import Iterable

import numpy as np

from jaxdet.ops.boxes_np import box_deltas, box_iou
from jaxdet.types import Annotation


def delta_statistics(
    images: Iterable[tuple[Annotation, np.ndarray]],
    *,
    num_classes: int,
    positive_iou: float,
    mirrored: bool,
    use_difficult: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and standard deviation by which the head's delta targets are normalised, per class.

    Measured over all proposals, as in Fast R-CNN's code: every proposal of IoU >= positive_iou with its best object
    counts for that object's class, and so does every object itself, with deltas of 0. The deltas do not depend on the
    scale of the image.

    Args:
      images: (annotation, proposals f32[n,4] in its pixels) per image.
      num_classes: K, without background.
      positive_iou: least IoU of a positive proposal.
      mirrored: training also uses mirrored images, so the mean of dx is 0.
      use_difficult: include difficult objects.

    Returns:
      mean and std f32[K+1,4]; 0 and 1 for the background and for a class without examples. A std below 1e-3, of a class
      whose deltas are all alike, is replaced by 1: otherwise a single outlier would count a thousandfold.
    """
    count = np.zeros((num_classes + 1, 1))
    total, squares = np.zeros((2, num_classes + 1, 4))
    for annotation, proposals in images:
        used = use_difficult | ~annotation.difficult
        objects, labels = annotation.boxes[used], annotation.labels[used]
        if not len(objects):
            continue

        # Match proposals and objects to their best object.
        boxes = np.concatenate([proposals, objects])
        iou = box_iou(boxes[:, None], objects[None])
        best = iou.argmax(1)
        positive = iou[np.arange(len(boxes)), best] >= positive_iou

        # Add the deltas of the positives to the sums of their class.
        deltas, classes = box_deltas(boxes[positive], objects[best[positive]]), labels[best[positive]]
        np.add.at(count, classes, 1)
        np.add.at(total, classes, deltas)
        np.add.at(squares, classes, deltas**2)

    examples = np.maximum(count, 1)
    mean = total / examples
    if mirrored:
        mean[:, 0] = 0
    std = np.sqrt(np.maximum(squares / examples - mean**2, 0))
    std[std < 1e-3] = 1
    return mean.astype(np.float32), std.astype(np.float32)
