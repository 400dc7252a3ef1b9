"""From a detector and a data set to the two tables that are scored."""

from collections.abc import Callable, Iterable

import numpy as np
from jax.experimental import multihost_utils

from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.types import Batch, Detections

# Shapes and dtypes of the tables without rows.
DETECTION_COLUMNS = (((0,), np.int32), ((0, 4), np.float32), ((0,), np.int32), ((0,), np.float32))
GROUND_TRUTH_COLUMNS = (((0,), np.int32), ((0, 4), np.float32), ((0,), np.int32), ((0,), bool))


def detect_split(predict: Callable[[Batch], Detections], batches: Iterable[Batch]) -> DetectionTable:
    """Runs a detector over every image of a split and gathers the valid detections, ordered by image.

    With several processes each passes its own rows of every global batch, as many batches of as many rows on each, and
    each gets the whole table. A batch is handed to `predict` before the results of the one before are fetched, so the
    device works while the host reads.

    Args:
      predict: Batch -> Detections [B,D,...] in original pixels, by descending score; not yet fetched from the device.
      batches: every image once; rows with image_valid False are left out.

    Raises:
      ValueError: an image comes twice.
    """
    parts, seen = [], []

    def collect(found, batch):
        found, ids, real = multihost_utils.process_allgather((found, batch.image_id, batch.image_valid), tiled=True)
        row, slot = np.nonzero(found.valid & real[:, None])
        parts.append((ids[row], found.boxes[row, slot], found.labels[row, slot], found.scores[row, slot]))
        seen.append(ids[real])

    running = None
    for batch in batches:
        started = predict(batch), batch
        if running is not None:
            collect(*running)
        running = started
    if running is not None:
        collect(*running)
    _check_once(seen)
    image, boxes, labels, scores = _join(parts, DETECTION_COLUMNS)
    order = np.argsort(image, kind="stable")  # batches come by bucket; scores that tie must not depend on that
    return DetectionTable(image[order], boxes[order], labels[order], scores[order])


def ground_truth_table(dataset) -> GroundTruthTable:
    """Reads the annotations of a split, without decoding images.

    Args:
      dataset: has `len(dataset)` and `annotations(i) -> Annotation`, boxes in original pixels.
    """
    records = [dataset.annotations(i) for i in range(len(dataset))]
    parts = [(np.full(len(r.labels), i, np.int32), r.boxes, r.labels, r.difficult) for i, r in enumerate(records)]
    return GroundTruthTable(*_join(parts, GROUND_TRUTH_COLUMNS))


def _join(parts, columns):
    """Concatenates rows column by column; a split without any keeps the columns' shapes and dtypes."""
    empty = tuple(np.zeros(shape, dtype) for shape, dtype in columns)
    return [np.concatenate(column) for column in zip(empty, *parts, strict=True)]


def _check_once(seen):
    ids, count = np.unique(np.concatenate([np.zeros(0, np.int32), *seen]), return_counts=True)
    if (count > 1).any():
        raise ValueError(
            f"detect_split: each image must come once, got {ids[count > 1][:5].tolist()} more often; "
            "give evaluation batches, whose filling rows have image_valid False."
        )
