"""Buckets and epoch order: which images form each batch, as pure functions of seed, epoch and stored image sizes.

A bucket is a fixed (height, width) of batches, so that the step is compiled once per bucket. Every batch has one bucket
on all hosts; each process takes its contiguous rows. All epochs have the same number of batches, so that the optimiser
step alone determines the position in the data: `epoch, position = divmod(step, batches_per_epoch)`.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxdet.checks import InputError
from jaxdet.data.transforms import resized_size

MULTIPLE = 16  # heights and widths of buckets are multiples of it: the stride of every backbone

Bucket = tuple[int, int]  # height, width


@dataclasses.dataclass(frozen=True)
class PlannedBatch:
    """The rows of one global batch."""

    bucket: Bucket
    image_id: np.ndarray  # i32[B]
    flip: np.ndarray  # bool[B]
    valid: np.ndarray  # bool[B] False for the rows that only fill up an evaluation batch
    epoch: int = 0

    def rows(self, process_index: int, process_count: int) -> "PlannedBatch":
        """Return the contiguous rows of one process."""
        share = len(self.image_id) // process_count
        rows = slice(process_index * share, (process_index + 1) * share)
        return PlannedBatch(self.bucket, self.image_id[rows], self.flip[rows], self.valid[rows], self.epoch)


def buckets(*, short_side: int, long_side: int) -> tuple[Bucket, ...]:
    """Return the bucket shapes: 4:3 and the longest, each landscape and portrait, rounded up to multiples of 16.

    Together they hold every resized image. 600 and 1000 give (608, 800), (800, 608), (608, 1008) and (1008, 608): most
    images of VOC are 500 x 375.

    Raises:
      InputError: short_side is not in 1..long_side.
    """
    if not 1 <= short_side <= long_side:
        raise InputError(
            f"input: short_side must be from 1 to long_side, got {short_side} and {long_side}; "
            "the paper's values are 600 and 1000."
        )

    def round_up(side: int) -> int:
        return -(-side // MULTIPLE) * MULTIPLE

    shapes = []
    for longest in (min(-(-4 * short_side // 3), long_side), long_side):
        short, long = round_up(short_side), round_up(longest)
        shapes += [(short, long), (long, short)]
    return tuple(dict.fromkeys(shapes))


def assign_buckets(image_sizes: np.ndarray, *, short_side: int, long_side: int) -> list[Bucket]:
    """Return, for each original (height, width) of i32[N,2], the smallest bucket that holds the resized image."""
    by_area = sorted(buckets(short_side=short_side, long_side=long_side), key=lambda bucket: bucket[0] * bucket[1])
    assigned = []
    for original_height, original_width in image_sizes.tolist():
        height, width = resized_size(original_height, original_width, short_side=short_side, long_side=long_side)
        assigned.append(next(bucket for bucket in by_area if height <= bucket[0] and width <= bucket[1]))
    return assigned


def leave_out(assigned: Sequence[Bucket | None], used: np.ndarray) -> list[Bucket | None]:
    """Return the buckets with None for every image that `used` bool[N] does not mark."""
    return [bucket if image_used else None for bucket, image_used in zip(assigned, used.tolist(), strict=True)]


def check_rows(batch_size: int, process_count: int) -> None:
    """Raise InputError unless every process gets the same number of a batch's rows, at least one."""
    if batch_size < 1 or batch_size % process_count:
        raise InputError(
            f"batch_size must be a positive multiple of the number of processes ({process_count}), got {batch_size}; "
            "it counts the images of all processes together."
        )


def batches_per_epoch(assigned: Sequence[Bucket | None], *, batch_size: int) -> int:
    """Return the number of batches in which every image with a bucket is seen; the same in every epoch."""
    return sum(-(-len(members) // batch_size) for members in _members(assigned).values())


def train_plan(
    assigned: Sequence[Bucket | None], *, batch_size: int, seed: int, epoch: int
) -> tuple[PlannedBatch, ...]:
    """Return the global batches of one epoch, shuffled within each bucket and across batches.

    A bucket's last batch is filled up from the start of the same bucket's order (a bucket of fewer images than
    `batch_size` repeats them). Whether an image is flipped depends on (seed, epoch, image) only. An image without a
    bucket is in no batch.
    """
    order, mirror = np.random.default_rng((seed, epoch, 0)), np.random.default_rng((seed, epoch, 1))
    flip = mirror.random(len(assigned)) < 0.5
    batches = []
    for bucket, members in _members(assigned).items():
        shuffled = order.permutation(members)
        filled = np.resize(shuffled, -(-len(members) // batch_size) * batch_size)  # np.resize repeats from the start
        for image_id in filled.reshape(-1, batch_size):
            batches.append(PlannedBatch(bucket, image_id, flip[image_id], np.ones(batch_size, bool), epoch))
    return tuple(batches[i] for i in order.permutation(len(batches)))


def eval_plan(assigned: list[Bucket], *, batch_size: int) -> tuple[PlannedBatch, ...]:
    """Return batches with every image once, in the order of the split within its bucket.

    Rows that fill up a batch repeat images and are not valid.
    """
    batches = []
    for bucket, members in _members(assigned).items():
        count = -(-len(members) // batch_size) * batch_size
        filled, valid = np.resize(members, count), np.arange(count) < len(members)
        rows = zip(filled.reshape(-1, batch_size), valid.reshape(-1, batch_size), strict=True)
        for image_id, row_valid in rows:
            batches.append(PlannedBatch(bucket, image_id, np.zeros(batch_size, bool), row_valid))
    return tuple(batches)


def _members(assigned: Sequence[Bucket | None]) -> dict[Bucket, np.ndarray]:
    """Return the image ids i32 of each bucket; the buckets are sorted."""
    members: dict[Bucket, list[int]] = {bucket: [] for bucket in sorted(set(filter(None, assigned)))}
    for image_id, bucket in enumerate(assigned):
        if bucket is not None:
            members[bucket].append(image_id)
    return {bucket: np.array(ids, np.int32) for bucket, ids in members.items()}
