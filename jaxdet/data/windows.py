"""R-CNN's windows, sampled from a whole split at each optimiser step (R-CNN, 2.3; window_data_layer of its Caffe)."""

import dataclasses
import functools
import itertools
import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.data import buckets, collate
from jaxdet.data.pipeline import InputOptions
from jaxdet.data.prefetch import prefetch
from jaxdet.ops.boxes_np import box_iou
from jaxdet.types import Dataset, ProposalTable, WindowBatch

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Windows:
    """Labelled windows of several images."""

    image_id: np.ndarray  # i32[n] index of the image in its split
    boxes: np.ndarray  # f32[n,4] in original pixels
    labels: np.ndarray  # i32[n] 1..K, 0 for background

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: np.ndarray | slice) -> "Windows":
        return Windows(self.image_id[rows], self.boxes[rows], self.labels[rows])


@dataclasses.dataclass(frozen=True)
class WindowTable:
    """All windows of a split that training may sample."""

    positives: Windows
    negatives: np.ndarray  # i64[m] the background windows, as rows of proposals.boxes
    proposals: ProposalTable

    def sample(self, *, seed: int, step: int, count: int, positive_fraction: float) -> Windows:
        """Sample `count` windows with replacement, positives first; they depend on the arguments only.

        int(count * positive_fraction) of them are positive.
        """
        random = np.random.default_rng((seed, step))
        positive = random.integers(len(self.positives), size=int(count * positive_fraction))
        row = self.negatives[random.integers(len(self.negatives), size=count - len(positive))]
        image_id = np.searchsorted(self.proposals.starts, row, side="right") - 1
        chosen = self.positives[positive]
        return Windows(
            image_id=np.concatenate([chosen.image_id, image_id]).astype(np.int32),
            boxes=np.concatenate([chosen.boxes, self.proposals.boxes[row]]),
            labels=np.concatenate([chosen.labels, np.zeros(len(row), np.int32)]),
        )


def window_table(
    dataset: Dataset,
    proposals: ProposalTable,
    *,
    positive_iou: float,
    negative_iou: tuple[float, float],
    use_difficult: bool,
    drop_empty: bool,
) -> WindowTable:
    """Return the positive and the background windows of a split, by the rule of ops roi_targets.

    An object is a positive window, too. The memory is 8 bytes per proposal: 80 MB for VOC2007 trainval.

    Args:
      positive_iou: from this IoU with its best object on, a window has the class of that object.
      negative_iou: (low, high); a window is background where low <= IoU < high, and at any IoU in an image without
        objects.
      use_difficult: whether difficult objects are positive; if not, they are ignored.
      drop_empty: take no windows of images without an object.

    Raises:
      InputError: there is no positive or no background window.
    """
    low, high = negative_iou
    positives, negatives = [], [np.zeros(0, np.int64)]
    for i in range(len(dataset)):
        annotation = dataset.annotations(i)
        used = ~annotation.difficult | use_difficult
        objects, labels = annotation.boxes[used], annotation.labels[used]
        if not len(objects):
            if not drop_empty:
                negatives.append(np.arange(proposals.starts[i], proposals.starts[i + 1]))
            continue
        boxes = np.concatenate([proposals[i], objects])
        iou = box_iou(boxes[:, None], objects[None])
        best = iou.max(axis=1)
        positive = best >= positive_iou
        background = ~positive & (low <= best) & (best < high)
        image_id = np.full(positive.sum(), i, np.int32)
        positives.append(Windows(image_id, boxes[positive], labels[iou[positive].argmax(axis=1)]))
        negatives.append(proposals.starts[i] + np.flatnonzero(background[: len(proposals[i])]))
    none = Windows(np.zeros(0, np.int32), np.zeros((0, 4), np.float32), np.zeros(0, np.int32))
    arrays = zip(*((part.image_id, part.boxes, part.labels) for part in (none, *positives)), strict=True)
    table = WindowTable(Windows(*map(np.concatenate, arrays)), np.concatenate(negatives), proposals)
    if not len(table.positives) or not len(table.negatives):
        raise InputError(
            "head.sampling=data_set must have positive and background windows to sample, got "
            f"{len(table.positives)} and {len(table.negatives)}; see head.roi_targets, or set it to per_image."
        )
    log.info("%d positive and %d background windows to sample from", len(table.positives), len(table.negatives))
    return table


def window_batches(
    dataset: Dataset,
    table: WindowTable,
    options: InputOptions,
    *,
    batch_size: int,
    positive_fraction: float,
    seed: int,
    start_step: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Generator[WindowBatch, None, None]:
    """Yield the batches of optimiser steps start_step, start_step + 1, ... without end, each row with its image.

    The batch of a step depends on the arguments only, not on where the iterator starts: resuming is exact. An image is
    decoded once per step. All batches have one shape, which holds every image.

    Args:
      dataset: the training split.
      table: its windows.
      options: only the sides and the workers are used; the crops of the windows are mirrored, not the images.
      batch_size: windows of all processes together; each yields its batch_size / process_count rows.
      positive_fraction: part of the windows that is positive.
      seed: of the sampling.
      start_step: number of steps already taken.
      process_index, process_count: which rows of each batch are yielded.

    Raises:
      InputError: batch_size is not a multiple of process_count, or the sides are out of range.
      Exception: whatever reading an image raised, at the step that needs the image.
    """
    buckets.check_rows(batch_size, process_count)
    bucket = common_bucket(dataset, options)
    share = batch_size // process_count
    rows = np.arange(process_index * share, (process_index + 1) * share, dtype=np.int32)
    fill: Callable[..., None] = functools.partial(_fill, dataset=dataset, sides=options.sides)

    def unfilled() -> Iterator[tuple[WindowBatch, list[Callable[[], None]]]]:
        for step in itertools.count(start_step):
            sampled = table.sample(seed=seed, step=step, count=batch_size, positive_fraction=positive_fraction)
            windows = sampled[rows]
            batch = empty_window_batch(bucket, share)
            batch.image_id[:], batch.labels[:], batch.row[:] = windows.image_id, windows.labels, rows
            batch.image_valid[:] = True
            yield batch, [functools.partial(fill, batch, i, windows) for i in np.unique(windows.image_id)]

    return prefetch(unfilled(), workers=options.workers)


def common_bucket(dataset: Dataset, options: InputOptions) -> buckets.Bucket:
    """Return the bucket that holds every resized image of a split."""
    height, width = np.max(buckets.assign_buckets(dataset.image_sizes, **options.sides), axis=0).tolist()
    return height, width


def empty_window_batch(bucket: buckets.Bucket, rows: int) -> WindowBatch:
    """Return a batch of zeros, every row invalid, to be filled in place."""
    zeros: dict[str, Any] = {name: np.zeros(rows, np.int32) for name in ("labels", "row")}  # Any: see collate
    return WindowBatch(**vars(collate.empty_batch(bucket, rows, max_gt=1, max_proposals=1)), **zeros)


def _fill(batch: WindowBatch, image_id: int, windows: Windows, *, dataset: Dataset, sides: dict[str, Any]) -> None:
    """Fill all rows of one image."""
    image = dataset[int(image_id)].image
    for row in np.flatnonzero(windows.image_id == image_id).tolist():
        collate.place_image(batch, row, image, **sides)
        collate.attach_proposals(batch, row, windows.boxes[row : row + 1])
