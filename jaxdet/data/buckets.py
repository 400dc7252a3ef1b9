"""Which image is seen when, in which bucket: pure functions of the seed, the epoch and the stored image sizes.

A bucket is a fixed (height, width) of batches, so that each is compiled once. Every batch has one bucket on all hosts;
each process takes its contiguous rows. An epoch always has the same number of batches, so that the optimiser step alone
says where in the data training stands: `epoch, position = divmod(step, batches_per_epoch)`.
"""

import dataclasses

import numpy as np

from jaxdet.checks import InputError
from jaxdet.data.transforms import resized_size

Bucket = tuple[int, int]  # height, width


@dataclasses.dataclass(frozen=True)
class PlannedBatch:
    """The rows of one global batch."""

    bucket: Bucket
    image_id: np.ndarray  # i32[B]
    flip: np.ndarray  # bool[B]
    valid: np.ndarray  # bool[B] False for the rows that only fill up an evaluation batch

    def rows(self, process_index: int, process_count: int) -> "PlannedBatch":
        """The contiguous rows of one process."""
        share = len(self.image_id) // process_count
        mine = slice(process_index * share, (process_index + 1) * share)
        return PlannedBatch(self.bucket, self.image_id[mine], self.flip[mine], self.valid[mine])


def buckets(*, short_side: int, long_side: int, stride: int = 16) -> tuple[Bucket, ...]:
    """The shapes that hold every resized image: 4:3 and the longest, lying and standing, in multiples of the stride.

    600 and 1000 give (608, 800), (800, 608), (608, 1008), (1008, 608): VOC's photos are mostly 500 x 375.
    """
    if not 1 <= short_side <= long_side:
        raise InputError(
            f"resize: short_side must be from 1 to long_side, got {short_side} and {long_side}; "
            "the paper's values are 600 and 1000."
        )

    def up(side: int) -> int:
        return -(-side // stride) * stride

    shapes = []
    for longest in (min(-(-4 * short_side // 3), long_side), long_side):
        shapes += [(up(short_side), up(longest)), (up(longest), up(short_side))]
    return tuple(dict.fromkeys(shapes))


def assign_buckets(image_sizes: np.ndarray, *, short_side: int, long_side: int) -> list[Bucket]:
    """For each original (height, width) of image_sizes i32[N,2] the bucket of smallest area that holds it resized."""
    by_area = sorted(buckets(short_side=short_side, long_side=long_side), key=lambda bucket: bucket[0] * bucket[1])
    assigned = []
    for size in image_sizes.tolist():
        height, width = resized_size(*size, short_side=short_side, long_side=long_side)
        assigned.append(next(bucket for bucket in by_area if height <= bucket[0] and width <= bucket[1]))
    return assigned


def check_rows(batch_size: int, process_count: int) -> None:
    """Raises InputError unless every process gets the same number of a batch's rows, at least one."""
    if batch_size < 1 or batch_size % process_count:
        raise InputError(
            f"batch_size must be a positive multiple of the number of processes ({process_count}), got {batch_size}; "
            "it counts the images of all processes together."
        )


def batches_per_epoch(assigned: list[Bucket], *, batch_size: int) -> int:
    """Batches in which every image is seen at least once; the same in every epoch."""
    return sum(-(-len(members) // batch_size) for members in _members(assigned).values())


def train_plan(assigned: list[Bucket], *, batch_size: int, seed: int, epoch: int) -> tuple[PlannedBatch, ...]:
    """One epoch's global batches: shuffled within each bucket and across batches.

    A bucket's last batch is filled up from the start of the same bucket's order (a bucket of fewer images than
    `batch_size` repeats them). Whether an image is flipped depends on (seed, epoch, image) only.
    """
    order, mirror = np.random.default_rng((seed, epoch, 0)), np.random.default_rng((seed, epoch, 1))
    flip = mirror.random(len(assigned)) < 0.5
    batches = []
    for bucket, members in _members(assigned).items():
        shuffled = order.permutation(members)
        filled = np.resize(shuffled, -(-len(members) // batch_size) * batch_size)  # np.resize repeats from the start
        for image_id in filled.reshape(-1, batch_size):
            batches.append(PlannedBatch(bucket, image_id, flip[image_id], np.ones(batch_size, bool)))
    return tuple(batches[i] for i in order.permutation(len(batches)))


def eval_plan(assigned: list[Bucket], *, batch_size: int) -> tuple[PlannedBatch, ...]:
    """Every image exactly once, in the order of the split within its bucket; filler rows repeat and are not valid."""
    batches = []
    for bucket, members in _members(assigned).items():
        count = -(-len(members) // batch_size) * batch_size
        filled, valid = np.resize(members, count), np.arange(count) < len(members)
        for image_id, real in zip(filled.reshape(-1, batch_size), valid.reshape(-1, batch_size), strict=True):
            batches.append(PlannedBatch(bucket, image_id, np.zeros(batch_size, bool), real))
    return tuple(batches)


def _members(assigned: list[Bucket]) -> dict[Bucket, np.ndarray]:
    """Image ids i32 of each bucket, buckets in a fixed order."""
    members: dict[Bucket, list[int]] = {bucket: [] for bucket in sorted(set(assigned))}
    for image_id, bucket in enumerate(assigned):
        members[bucket].append(image_id)
    return {bucket: np.array(ids, np.int32) for bucket, ids in members.items()}
