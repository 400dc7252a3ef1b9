"""Filling the rows of a host batch: an image, its objects and its proposals share one resizing and flip."""

from typing import Any

import numpy as np

from jaxdet.data import augment, buckets, transforms
from jaxdet.types import Batch, Dataset, ProposalTable


def empty_batch(bucket: buckets.Bucket, rows: int, *, max_gt: int, max_proposals: int) -> Batch:
    """Return a batch of zeros, every row and slot invalid, to be filled in place."""
    # Any: types.Batch declares device arrays, host batches hold numpy arrays.
    fields: dict[str, Any] = {
        "image": np.zeros((rows, *bucket, 3), np.uint8),
        "image_size": np.zeros((rows, 2), np.float32),
        "scale": np.zeros(rows, np.float32),
        "image_id": np.zeros(rows, np.int32),
        "image_valid": np.zeros(rows, bool),
        "gt_boxes": np.zeros((rows, max_gt, 4), np.float32),
        "gt_labels": np.zeros((rows, max_gt), np.int32),
        "gt_valid": np.zeros((rows, max_gt), bool),
        "proposals": np.zeros((rows, max_proposals, 4), np.float32),
        "proposals_valid": np.zeros((rows, max_proposals), bool),
    }
    return Batch(**fields)


def fill(
    batch: Batch,
    row: int,
    *,
    dataset: Dataset,
    proposals: ProposalTable | None,
    mirrored: bool,
    use_difficult: bool,
    short_side: int,
    long_side: int,
    augmentation: augment.Augmentation = augment.OFF,
    seed: tuple[int, ...] = (),
) -> None:
    """Fill a row with the record of its image_id and, if there are any, that image's proposals.

    The random changes of `augmentation` depend on `seed` only.
    """
    i = int(batch.image_id[row])
    record = dataset[i]
    used = ~record.difficult | use_difficult
    image, boxes, labels = record.image, record.boxes[used], record.labels[used]

    # Objects and proposals are flipped and augmented together.
    if proposals is not None:
        boxes = np.concatenate([boxes, proposals.tables[-1 if mirrored else 0][i]])
    is_object = np.arange(len(boxes)) < len(labels)
    if mirrored:
        image, boxes = transforms.flip(image, boxes)
    if augmentation.is_on:
        base_scale = transforms.resize_scale(*image.shape[:2], short_side=short_side, long_side=long_side)
        bucket = batch.image.shape[1], batch.image.shape[2]
        rng = np.random.default_rng(seed)
        view = augment.random_view(
            rng, image, boxes, is_object=is_object, base_scale=base_scale, bucket=bucket, options=augmentation
        )
        boxes, labels, is_object = view.boxes, labels[view.is_visible[: len(labels)]], is_object[view.is_visible]
        place_resized(batch, row, view.resized, view.scale)
    else:
        place_image(batch, row, image, short_side=short_side, long_side=long_side)

    padded = transforms.pad_ground_truth(boxes[is_object] * batch.scale[row], labels, max_gt=batch.gt_valid.shape[1])
    batch.gt_boxes[row], batch.gt_labels[row], batch.gt_valid[row] = padded
    if proposals is not None:
        attach_proposals(batch, row, boxes[~is_object])


def place_image(batch: Batch, row: int, image: np.ndarray, *, short_side: int, long_side: int) -> None:
    """Resize an image u8[H,W,3], write it top left into a row and set the row's size and scale."""
    place_resized(batch, row, *transforms.resize(image, short_side=short_side, long_side=long_side))


def place_resized(batch: Batch, row: int, resized: np.ndarray, scale: float) -> None:
    """Write a resized image u8[H',W',3] top left into a row and set the row's size and scale."""
    height, width = resized.shape[:2]
    batch.image[row, :height, :width] = resized
    batch.image_size[row] = height, width
    batch.scale[row] = scale


def attach_proposals(batch: Batch, row: int, boxes: np.ndarray) -> None:
    """Write the first boxes of f32[n,4] into the slots of a row that has its image; as many as there are slots.

    The boxes are in pixels of the image before it was resized.
    """
    scaled = boxes[: batch.proposals.shape[1]] * batch.scale[row]
    # The resized size is rounded, the scale is not: a box may exceed the image by half a pixel.
    batch.proposals[row, : len(scaled)] = np.clip(scaled, 0, np.tile(batch.image_size[row, ::-1], 2))
    batch.proposals_valid[row, : len(scaled)] = True
