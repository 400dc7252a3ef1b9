"""Batches of host arrays: images with their objects and proposals, in the order of the epochs or of the split."""

import dataclasses
import functools
import itertools
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from jaxdet.checks import InputError, at_least
from jaxdet.data import buckets, collate
from jaxdet.data.augment import OFF, STREAM, Augmentation
from jaxdet.data.prefetch import prefetch
from jaxdet.types import Batch, Dataset, ProposalTable

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputOptions:
    """How images and objects enter a batch: the config section `input`.

    Attributes:
      short_side, long_side: the resize rule, in pixels; see transforms.resize_scale.
      flip: mirror each training image with probability 1/2, sampled again in every epoch.
      max_gt: G, ground-truth slots per image; of more objects the largest are used.
      workers: threads.
      use_difficult: train on difficult objects too, as Fast R-CNN's paper does; py-faster-rcnn leaves them out.
      drop_empty: leave out the training images without an object to train on, as py-faster-rcnn does, instead of
        training on them as background.

    Raises:
      InputError: max_gt or workers is below 1.
    """

    short_side: int
    long_side: int
    flip: bool
    max_gt: int
    workers: int
    use_difficult: bool = False
    drop_empty: bool = False

    def __post_init__(self):
        at_least("input.max_gt", self.max_gt, 1, cure="64 is enough for VOC")
        at_least("input.workers", self.workers, 1, cure="use one thread per core")

    @property
    def sides(self) -> dict[str, Any]:
        """The keyword arguments short_side and long_side."""
        return {"short_side": self.short_side, "long_side": self.long_side}


def train_batches(
    dataset: Dataset,
    options: InputOptions,
    *,
    batch_size: int,
    seed: int,
    start_step: int,
    augmentation: Augmentation = OFF,
    proposals: ProposalTable | None = None,
    max_proposals: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Generator[Batch, None, None]:
    """Yield the batches of optimiser steps start_step, start_step + 1, ... without end.

    The batch of a step depends on the arguments only, not on where the iterator starts: resuming is exact.

    Args:
      dataset: the training split.
      options: see InputOptions.
      batch_size: images of all processes together; each yields its batch_size / process_count rows.
      seed: of the order of the images, the flips and the augmentation.
      start_step: number of steps already taken.
      augmentation: see Augmentation; an image keeps the bucket that it has without.
      proposals: the boxes of every image of the split; they are resized, flipped and augmented with it.
      max_proposals: P, proposal slots per image; the best proposals are used. 0 without proposals.
      process_index, process_count: which rows of each batch are yielded.

    Raises:
      InputError: batch_size is not a multiple of process_count, the sides are out of range, the proposals are of
        another number of images, max_proposals does not fit them, or drop_empty leaves no image.
      Exception: whatever reading an image raised, at the step that needs the image.
    """
    buckets.check_rows(batch_size, process_count)
    _check_proposals(proposals, len(dataset), max_proposals)
    assigned = _train_buckets(dataset, options)
    empty = assigned.count(None)
    if empty:
        log.info("%d of %d images have no object to train on and are left out (input.drop_empty)", empty, len(dataset))
    crowded = int((dataset.object_counts > options.max_gt).sum())
    if crowded:
        log.warning(
            "%d of %d images have more than %d objects (up to %d): the largest are used; raise input.max_gt to use all",
            *(crowded, len(dataset), options.max_gt, dataset.object_counts.max()),
        )

    planned = _planned(assigned, batch_size=batch_size, seed=seed, start_step=start_step)
    rows = (batch.rows(process_index, process_count) for batch in planned)
    return _filled(
        dataset, rows, options, proposals, max_proposals, flip=options.flip, augmentation=augmentation, seed=seed
    )


def train_buckets(
    dataset: Dataset, options: InputOptions, *, batch_size: int, seed: int, start_step: int, steps: int
) -> list[buckets.Bucket]:
    """Return the buckets of the training batches from start_step to the last of all `steps`, in order of first use.

    Args and errors as in train_batches.
    """
    assigned = _train_buckets(dataset, options)
    # Two epochs' worth of batches hold a whole epoch, and so every bucket.
    most = min(steps - start_step, 2 * buckets.batches_per_epoch(assigned, batch_size=batch_size))
    planned = _planned(assigned, batch_size=batch_size, seed=seed, start_step=start_step)
    return list(dict.fromkeys(batch.bucket for batch in itertools.islice(planned, most)))


def batches_per_epoch(dataset: Dataset, options: InputOptions, *, batch_size: int) -> int:
    """Return the number of training batches in which every image is seen; args and errors as in train_batches."""
    return buckets.batches_per_epoch(_train_buckets(dataset, options), batch_size=batch_size)


def eval_batches(
    dataset: Dataset,
    options: InputOptions,
    *,
    batch_size: int,
    proposals: ProposalTable | None = None,
    max_proposals: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Generator[Batch, None, None]:
    """Yield every image of the split exactly once, unflipped; rows that fill up a batch have `image_valid` False.

    All processes yield the same number of batches, with the same buckets. Args and errors as in train_batches.
    """
    buckets.check_rows(batch_size, process_count)
    _check_proposals(proposals, len(dataset), max_proposals)
    assigned = buckets.assign_buckets(dataset.image_sizes, **options.sides)
    planned = buckets.eval_plan(assigned, batch_size=batch_size)
    rows = (batch.rows(process_index, process_count) for batch in planned)
    return _filled(dataset, rows, options, proposals, max_proposals, flip=False)


def image_batch(
    image: np.ndarray, options: InputOptions, *, proposals: np.ndarray | None = None, max_proposals: int = 0
) -> Batch:
    """Return a batch of one image without ground truth (one empty slot), for prediction.

    Args:
      image: u8[H,W,3] RGB.
      options: only the sides are used.
      proposals: f32[n,4] best first, in pixels of the image.
      max_proposals: P, proposal slots; 0 without proposals.

    Raises:
      InputError: the sides are out of range, or max_proposals does not fit the proposals.
    """
    _check_slots(proposals, max_proposals)
    (bucket,) = buckets.assign_buckets(np.array([image.shape[:2]]), **options.sides)
    batch = collate.empty_batch(bucket, 1, max_gt=1, max_proposals=max_proposals)
    batch.image_valid[0] = True
    collate.place_image(batch, 0, image, **options.sides)
    if proposals is not None:
        collate.attach_proposals(batch, 0, proposals)
    return batch


def _train_buckets(dataset: Dataset, options: InputOptions) -> list[buckets.Bucket | None]:
    """Return the bucket of each image, None for those that are left out."""
    assigned: list[buckets.Bucket | None] = [*buckets.assign_buckets(dataset.image_sizes, **options.sides)]
    if not options.drop_empty:
        return assigned
    return buckets.leave_out(assigned, _with_objects(dataset, use_difficult=options.use_difficult))


def _planned(
    assigned: Sequence[buckets.Bucket | None], *, batch_size: int, seed: int, start_step: int
) -> Iterator[buckets.PlannedBatch]:
    """Yield the global batches of steps start_step, start_step + 1, ... without end."""
    first_epoch, position = divmod(start_step, buckets.batches_per_epoch(assigned, batch_size=batch_size))
    for epoch in itertools.count(first_epoch):
        yield from buckets.train_plan(assigned, batch_size=batch_size, seed=seed, epoch=epoch)[position:]
        position = 0


def _with_objects(dataset: Dataset, *, use_difficult: bool) -> np.ndarray:
    """Return bool[N], whether an image has an object to train on.

    The stored counts are without difficult objects: where they are 0, those are read.
    """
    used = dataset.object_counts > 0
    if use_difficult:
        used = used | np.array([not has and len(dataset.annotations(i).labels) > 0 for i, has in enumerate(used)], bool)
    if not used.any():
        raise InputError(
            f"input.drop_empty must leave an image to train on, got {len(dataset)} images without an object; name "
            "another split, or set it to False."
        )
    return used


def _check_slots(proposals: ProposalTable | np.ndarray | None, max_proposals: int) -> None:
    if proposals is not None:
        at_least("input: max_proposals", max_proposals, 1, cure="pass the largest number of proposals of an image")
    elif max_proposals:
        raise InputError(f"input: max_proposals must be 0 without proposals, got {max_proposals}; pass proposals.")


def _check_proposals(proposals: ProposalTable | None, images: int, max_proposals: int) -> None:
    _check_slots(proposals, max_proposals)
    if proposals is not None and len(proposals) != images:
        raise InputError(
            f"input: proposals must be of {images} images, got those of {len(proposals)}; make them for this split."
        )


def _filled(
    dataset: Dataset,
    planned: Iterable[buckets.PlannedBatch],
    options: InputOptions,
    proposals: ProposalTable | None,
    max_proposals: int,
    *,
    flip: bool,
    augmentation: Augmentation = OFF,
    seed: int = 0,
) -> Generator[Batch, None, None]:
    """Return the planned batches in order, prepared ahead of their use, one task per image."""
    fill: Callable[..., None] = functools.partial(
        collate.fill,
        dataset=dataset,
        proposals=proposals,
        use_difficult=options.use_difficult,
        augmentation=augmentation,
        **options.sides,
    )

    def unfilled() -> Iterator[tuple[Batch, list[Callable[[], None]]]]:
        for part in planned:
            rows = len(part.image_id)
            batch = collate.empty_batch(part.bucket, rows, max_gt=options.max_gt, max_proposals=max_proposals)
            batch.image_id[:], batch.image_valid[:] = part.image_id, part.valid
            mirrored = part.flip & flip
            seeds = [(seed, part.epoch, STREAM, int(i)) for i in part.image_id]
            yield (
                batch,
                [functools.partial(fill, batch, row, mirrored=mirrored[row], seed=seeds[row]) for row in range(rows)],
            )

    return prefetch(unfilled(), workers=options.workers)
