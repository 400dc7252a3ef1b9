"""Batches of host arrays, made ahead of time by threads (OpenCV decodes and resizes outside Python's lock)."""

import collections
import concurrent.futures
import functools
import itertools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from jaxdet.checks import InputError
from jaxdet.data import plan, transforms
from jaxdet.data.dataset import Dataset
from jaxdet.types import Batch

logger = logging.getLogger(__name__)

AHEAD = 3  # batches being made while one is used


def train_batches(
    dataset: Dataset,
    *,
    batch_size: int,
    seed: int,
    start_step: int,
    short_side: int,
    long_side: int,
    flip: bool,
    max_gt: int,
    workers: int,
    use_difficult: bool = False,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """The batches of optimiser steps start_step, start_step + 1, ... without end.

    The batch of a step depends on its arguments only, not on where the iterator was started: resuming is exact.

    Args:
        batch_size: images of all processes together; each yields its batch_size / process_count rows.
        short_side, long_side: the resize rule, in pixels.
        flip: mirror half of the images, drawn anew each epoch.
        max_gt: ground-truth slots; where an image has more objects, the largest are kept.
        workers: threads.
        use_difficult: learn from difficult objects, too, as Fast R-CNN's paper did; py-faster-rcnn leaves them out.

    Raises:
        InputError: batch_size does not divide, the sides are no sizes, or max_gt or workers is below 1.
        Whatever reading an image raised, at the step that needs it.
    """
    plan.check_rows(batch_size, process_count)
    _check_positive(max_gt=max_gt, workers=workers)
    assigned = plan.assign_buckets(dataset.image_sizes, short_side=short_side, long_side=long_side)
    crowded = int((dataset.object_counts > max_gt).sum())
    if crowded:
        logger.warning(
            "%d of %d images have more than %d objects (up to %d): the largest are kept; raise max_gt to keep all",
            *(crowded, len(dataset), max_gt, dataset.object_counts.max()),
        )

    def planned() -> Iterator[plan.PlannedBatch]:
        first_epoch, position = divmod(start_step, plan.batches_per_epoch(assigned, batch_size=batch_size))
        for epoch in itertools.count(first_epoch):
            yield from plan.train_plan(assigned, batch_size=batch_size, seed=seed, epoch=epoch)[position:]
            position = 0

    rows = (batch.rows(process_index, process_count) for batch in planned())
    sides = {"short_side": short_side, "long_side": long_side}
    fill = functools.partial(_fill, dataset=dataset, use_difficult=use_difficult, **sides)
    return _prefetch(rows, fill, workers=workers, flip=flip, max_gt=max_gt)


def eval_batches(
    dataset: Dataset,
    *,
    batch_size: int,
    short_side: int,
    long_side: int,
    max_gt: int,
    workers: int,
    use_difficult: bool = False,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """Every image of the split exactly once; the rows that fill up a batch have `image_valid` False.

    Args as in train_batches. All processes yield the same number of batches, with the same buckets.
    """
    plan.check_rows(batch_size, process_count)
    _check_positive(max_gt=max_gt, workers=workers)
    assigned = plan.assign_buckets(dataset.image_sizes, short_side=short_side, long_side=long_side)
    planned = plan.eval_plan(assigned, batch_size=batch_size)
    rows = (batch.rows(process_index, process_count) for batch in planned)
    sides = {"short_side": short_side, "long_side": long_side}
    fill = functools.partial(_fill, dataset=dataset, use_difficult=use_difficult, **sides)
    return _prefetch(rows, fill, workers=workers, flip=False, max_gt=max_gt)


def photo_batch(image: np.ndarray, *, short_side: int, long_side: int) -> Batch:
    """A batch of one photo u8[H,W,3] without ground truth (one empty slot), for prediction."""
    (bucket,) = plan.assign_buckets(np.array([image.shape[:2]]), short_side=short_side, long_side=long_side)
    batch = _empty_batch(bucket, 1, max_gt=1)
    batch.image_valid[0] = True
    _place(batch, 0, image, short_side=short_side, long_side=long_side)
    return batch


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise InputError(f"input: {name} must be at least 1, got {value}.")


def _empty_batch(bucket: plan.Bucket, rows: int, *, max_gt: int) -> Batch:
    return Batch(
        image=np.zeros((rows, *bucket, 3), np.uint8),
        image_size=np.zeros((rows, 2), np.float32),
        scale=np.zeros(rows, np.float32),
        image_id=np.zeros(rows, np.int32),
        image_valid=np.zeros(rows, bool),
        gt_boxes=np.zeros((rows, max_gt, 4), np.float32),
        gt_labels=np.zeros((rows, max_gt), np.int32),
        gt_valid=np.zeros((rows, max_gt), bool),
        proposals=np.zeros((rows, 0, 4), np.float32),
        proposals_valid=np.zeros((rows, 0), bool),
    )


def _place(batch: Batch, row: int, image: np.ndarray, *, short_side: int, long_side: int) -> np.float32:
    resized, scale = transforms.resize(image, short_side=short_side, long_side=long_side)
    height, width = resized.shape[:2]
    batch.image[row, :height, :width] = resized
    batch.image_size[row] = height, width
    batch.scale[row] = scale
    return batch.scale[row]


def _fill(
    batch: Batch, row: int, *, dataset: Dataset, mirrored: bool, use_difficult: bool, short_side: int, long_side: int
) -> None:
    record = dataset[int(batch.image_id[row])]
    image, boxes = transforms.flip(record.image, record.boxes) if mirrored else (record.image, record.boxes)
    scale = _place(batch, row, image, short_side=short_side, long_side=long_side)
    kept = ~record.difficult | use_difficult
    padded = transforms.pad_ground_truth(boxes[kept] * scale, record.labels[kept], max_gt=batch.gt_valid.shape[1])
    batch.gt_boxes[row], batch.gt_labels[row], batch.gt_valid[row] = padded


def _prefetch(
    planned: Iterable[plan.PlannedBatch], fill: Callable[..., None], *, workers: int, flip: bool, max_gt: int
) -> Iterator[Batch]:
    """Makes the batches in order, AHEAD of their use, one image a task; closing the iterator ends the threads."""
    cv2.setNumThreads(1)  # the threads are ours: cv2's own would fight them for the cores
    planned = iter(planned)
    # As the interpreter ends, the threads are gone and this module's names may be, too: hence a local one.
    finalizing = sys.is_finalizing
    pool = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="input")
    making: collections.deque[tuple[Batch, list[concurrent.futures.Future]]] = collections.deque()

    def start(rows: plan.PlannedBatch) -> None:
        batch = _empty_batch(rows.bucket, len(rows.image_id), max_gt=max_gt)
        batch.image_id[:], batch.image_valid[:] = rows.image_id, rows.valid
        mirrored = rows.flip & flip
        tasks = [pool.submit(fill, batch, i, mirrored=mirrored[i]) for i in range(len(mirrored))]
        making.append((batch, tasks))

    try:
        for rows in itertools.islice(planned, AHEAD):
            start(rows)
        while making:
            batch, tasks = making.popleft()
            for task in tasks:
                task.result()
            for rows in itertools.islice(planned, 1):
                start(rows)
            yield batch
    finally:
        if not finalizing():
            pool.shutdown(wait=True, cancel_futures=True)
