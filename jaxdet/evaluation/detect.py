"""Running a detector over a split, and the two tables that are scored: detections and ground truth."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from jax.experimental import multihost_utils

from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.types import Batch, Dataset, Detections

# Shape and dtype of each column of a table without rows.
Columns = Sequence[tuple[tuple[int, ...], type]]
DETECTION_COLUMNS: Columns = (((0,), np.int32), ((0, 4), np.float32), ((0,), np.int32), ((0,), np.float32))
GROUND_TRUTH_COLUMNS: Columns = (((0,), np.int32), ((0, 4), np.float32), ((0,), np.int32), ((0,), bool))


def detect_split(
    predict: Callable[[Batch], Detections],
    batches: Iterable[Batch],
    *,
    finish: Callable[[int], None] = lambda images: None,
) -> DetectionTable:
    """Run a detector over every image of a split and gather the valid detections, ordered by image.

    With several processes each passes its own rows of every global batch, the same number of batches and rows on each,
    and each gets the whole table. A batch is handed to `predict` before the results of the one before are fetched, so
    the device works while the host reads.

    Args:
      predict: Batch -> Detections [B,D,...] in original pixels, by descending score; not yet fetched from the device.
      batches: every image once; rows with image_valid False are ignored.
      finish: called with the number of images of each batch whose results were fetched; see io.progress.counting.

    Raises:
      ValueError: an image comes twice.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    image_ids: list[np.ndarray] = []

    def collect(detections: Detections, batch: Batch) -> None:
        gathered = multihost_utils.process_allgather((detections, batch.image_id, batch.image_valid), tiled=True)
        detections, ids, image_valid = gathered  # numpy arrays now
        row, slot = np.nonzero(detections.valid & image_valid[:, None])
        columns: Any = detections.boxes, detections.labels, detections.scores
        parts.append((ids[row], *(column[row, slot] for column in columns)))
        image_ids.append(ids[image_valid])
        finish(int(image_valid.sum()))

    running = None
    for batch in batches:
        started = predict(batch), batch
        if running is not None:
            collect(*running)
        running = started
    if running is not None:
        collect(*running)

    _check_once(image_ids)
    image, boxes, labels, scores = _concatenate(parts, DETECTION_COLUMNS)
    order = np.argsort(image, kind="stable")  # batches come by bucket; the order of equal scores must not depend on it
    return DetectionTable(image[order], boxes[order], labels[order], scores[order])


def ground_truth_table(dataset: Dataset) -> GroundTruthTable:
    """Read the annotations of a split, without decoding images."""
    records = [dataset.annotations(i) for i in range(len(dataset))]
    parts = [(np.full(len(r.labels), i, np.int32), r.boxes, r.labels, r.difficult) for i, r in enumerate(records)]
    return GroundTruthTable(*_concatenate(parts, GROUND_TRUTH_COLUMNS))


def _concatenate(parts: Sequence[tuple[np.ndarray, ...]], columns: Columns) -> list[np.ndarray]:
    """Concatenate rows column by column; without any rows the columns have their shape and dtype all the same."""
    empty: tuple[np.ndarray, ...] = tuple(np.zeros(shape, dtype) for shape, dtype in columns)
    return [np.concatenate(column) for column in zip(empty, *parts, strict=True)]


def _check_once(image_ids: Sequence[np.ndarray]) -> None:
    ids, count = np.unique(np.concatenate([np.zeros(0, np.int32), *image_ids]), return_counts=True)
    if (count > 1).any():
        raise ValueError(
            f"detect_split: each image must come once, got {ids[count > 1][:5].tolist()} more often; "
            "give evaluation batches, whose filling rows have image_valid False."
        )
