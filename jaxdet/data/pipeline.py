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
from jaxdet.data import buckets, collate
from jaxdet.data.dataset import Dataset
from jaxdet.types import Batch, ProposalTable

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
    proposals: ProposalTable | None = None,
    max_proposals: int = 0,
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
        proposals: the boxes of each image of the data set; they go through the image's resizing and flip.
        max_proposals: P, proposal slots: the best are kept; 0 exactly where there are no proposals.

    Raises:
        InputError: batch_size does not divide, the sides are no sizes, max_gt or workers is below 1, the proposals are
            of another number of images, or max_proposals does not fit them.
        Whatever reading an image raised, at the step that needs it.
    """
    buckets.check_rows(batch_size, process_count)
    _check_positive(max_gt=max_gt, workers=workers)
    _check_proposals(proposals, len(dataset), max_proposals)
    assigned = buckets.assign_buckets(dataset.image_sizes, short_side=short_side, long_side=long_side)
    crowded = int((dataset.object_counts > max_gt).sum())
    if crowded:
        logger.warning(
            "%d of %d images have more than %d objects (up to %d): the largest are kept; raise max_gt to keep all",
            *(crowded, len(dataset), max_gt, dataset.object_counts.max()),
        )

    def planned() -> Iterator[buckets.PlannedBatch]:
        first_epoch, position = divmod(start_step, buckets.batches_per_epoch(assigned, batch_size=batch_size))
        for epoch in itertools.count(first_epoch):
            yield from buckets.train_plan(assigned, batch_size=batch_size, seed=seed, epoch=epoch)[position:]
            position = 0

    mine = (batch.rows(process_index, process_count) for batch in planned())
    sides = {"short_side": short_side, "long_side": long_side}
    fill = functools.partial(collate.fill, dataset=dataset, proposals=proposals, use_difficult=use_difficult, **sides)
    return _prefetch(mine, fill, workers=workers, flip=flip, max_gt=max_gt, max_proposals=max_proposals)


def eval_batches(
    dataset: Dataset,
    *,
    batch_size: int,
    short_side: int,
    long_side: int,
    max_gt: int,
    workers: int,
    use_difficult: bool = False,
    proposals: ProposalTable | None = None,
    max_proposals: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """Every image of the split exactly once; the rows that fill up a batch have `image_valid` False.

    Args as in train_batches. All processes yield the same number of batches, with the same buckets.
    """
    buckets.check_rows(batch_size, process_count)
    _check_positive(max_gt=max_gt, workers=workers)
    _check_proposals(proposals, len(dataset), max_proposals)
    assigned = buckets.assign_buckets(dataset.image_sizes, short_side=short_side, long_side=long_side)
    planned = buckets.eval_plan(assigned, batch_size=batch_size)
    mine = (batch.rows(process_index, process_count) for batch in planned)
    sides = {"short_side": short_side, "long_side": long_side}
    fill = functools.partial(collate.fill, dataset=dataset, proposals=proposals, use_difficult=use_difficult, **sides)
    return _prefetch(mine, fill, workers=workers, flip=False, max_gt=max_gt, max_proposals=max_proposals)


def photo_batch(
    image: np.ndarray,
    *,
    short_side: int,
    long_side: int,
    proposals: np.ndarray | None = None,
    max_proposals: int = 0,
) -> Batch:
    """A batch of one photo u8[H,W,3] without ground truth (one empty slot), for prediction.

    Args:
        proposals: f32[n,4] best first, in pixels of the photo; max_proposals: as in train_batches.
    """
    _check_slots(proposals, max_proposals)
    (bucket,) = buckets.assign_buckets(np.array([image.shape[:2]]), short_side=short_side, long_side=long_side)
    batch = collate.empty_batch(bucket, 1, max_gt=1, max_proposals=max_proposals)
    batch.image_valid[0] = True
    collate.place_image(batch, 0, image, short_side=short_side, long_side=long_side)
    if proposals is not None:
        collate.attach_proposals(batch, 0, proposals)
    return batch


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise InputError(f"input: {name} must be at least 1, got {value}.")


def _check_slots(proposals: ProposalTable | np.ndarray | None, max_proposals: int) -> None:
    if proposals is None and max_proposals:
        raise InputError(f"input: max_proposals must be 0 without proposals, got {max_proposals}; name their file.")
    if proposals is not None:
        _check_positive(max_proposals=max_proposals)


def _check_proposals(proposals: ProposalTable | None, images: int, max_proposals: int) -> None:
    _check_slots(proposals, max_proposals)
    if proposals is not None and len(proposals) != images:
        raise InputError(
            f"input: proposals must be of {images} images, got those of {len(proposals)}; make them for this split."
        )


def _prefetch(
    planned: Iterable[buckets.PlannedBatch],
    fill: Callable[..., None],
    *,
    workers: int,
    flip: bool,
    max_gt: int,
    max_proposals: int,
) -> Iterator[Batch]:
    """Makes the batches in order, AHEAD of their use, one image a task; closing the iterator ends the threads."""
    cv2.setNumThreads(1)  # the threads are ours: cv2's own would fight them for the cores
    planned = iter(planned)
    # As the interpreter ends, the threads are gone and this module's names may be, too: hence a local one.
    finalizing = sys.is_finalizing
    pool = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="input")
    making: collections.deque[tuple[Batch, list[concurrent.futures.Future]]] = collections.deque()

    def start(part: buckets.PlannedBatch) -> None:
        batch = collate.empty_batch(part.bucket, len(part.image_id), max_gt=max_gt, max_proposals=max_proposals)
        batch.image_id[:], batch.image_valid[:] = part.image_id, part.valid
        mirrored = part.flip & flip
        tasks = [pool.submit(fill, batch, i, mirrored=mirrored[i]) for i in range(len(mirrored))]
        making.append((batch, tasks))

    try:
        for part in itertools.islice(planned, AHEAD):
            start(part)
        while making:
            batch, tasks = making.popleft()
            for task in tasks:
                task.result()
            for part in itertools.islice(planned, 1):
                start(part)
            yield batch
    finally:
        if not finalizing():
            pool.shutdown(wait=True, cancel_futures=True)
