"""The images with most errors of a kind."""

import numpy as np

from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.evaluation.tide import MISSED, Errors
from jaxdet.ops.boxes_np import box_area


def worst_images(
    detections: DetectionTable, ground_truth: GroundTruthTable, errors: Errors, *, kind: int, most: int
) -> list[int]:
    """Return at most `most` images by descending number of errors of a kind (an index into tide.KINDS).

    Of equal numbers the image with the highest sum of the errors' scores comes first, for missed objects that with the
    largest objects.
    """
    if kind == MISSED:
        images, weights = ground_truth.image[errors.missed], box_area(ground_truth.boxes[errors.missed])
    else:
        of_kind = errors.kind == kind
        images, weights = detections.image[of_kind], detections.scores[of_kind]
    worst, row, count = np.unique(images, return_inverse=True, return_counts=True)
    weight = np.bincount(row, weights, minlength=len(worst))
    order = np.lexsort((-weight, -count))
    return [int(image) for image in worst[order[:most]]]
