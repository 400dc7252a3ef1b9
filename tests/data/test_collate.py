import dataclasses
import itertools

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.data.collate import attach_proposals, empty_batch, fill, place_image
from jaxdet.data.pipeline import InputOptions, eval_batches, image_batch, train_batches
from jaxdet.types import ProposalTable, Record

SIDES = {"short_side": 60, "long_side": 100}
SIZES = np.array([(75, 100), (101, 75), (50, 103), (120, 120), (47, 61)], np.int32)
COUNTS = [4, 0, 2, 9, 1]
OPTIONS = InputOptions(flip=False, max_gt=1, workers=2, **SIDES)


class Images:
    """A types.Dataset of five images; the only object of each is its first proposal, if it has one."""

    image_sizes, object_counts = SIZES, np.array([1, 0, 1, 1, 1], np.int32)

    def __len__(self):
        return 5

    def __getitem__(self, i):
        boxes, (height, width) = TABLE[i][:1], SIZES[i]
        image = np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8)
        return Record(f"image{i}", boxes, np.ones(len(boxes), np.int32), np.zeros(len(boxes), bool), image)


def proposals_of(i):
    """Boxes over the whole width, so that the rounding of the resized size shows."""
    height, width = SIZES[i]
    rng, count = np.random.default_rng(i), COUNTS[i]
    corners = rng.uniform(0, [width / 2, height / 2], (count, 2))
    far = rng.uniform([width / 2, height / 2], [width, height], (count, 2))
    boxes = np.concatenate([corners, far], axis=1)
    boxes[1:2] = 0, 0, width, height
    return boxes.astype(np.float32)


TABLE = ProposalTable(
    np.concatenate([proposals_of(i) for i in range(5)]), np.concatenate([[0], np.cumsum(COUNTS)]).astype(np.int64)
)


def row_of(i, *, mirrored, slots=6, table=TABLE):
    batch = empty_batch((104, 128), 1, max_gt=1, max_proposals=slots)
    batch.image_id[0] = i
    fill(batch, 0, dataset=Images(), proposals=table, mirrored=mirrored, use_difficult=False, **SIDES)
    return batch


@pytest.mark.parametrize("i", range(5))
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_best_proposals_are_resized_flipped_and_padded(i, mirrored):
    batch, boxes, count = row_of(i, mirrored=mirrored), TABLE[i][:6].astype(np.float64), min(COUNTS[i], 6)
    if mirrored:
        boxes = np.stack([SIZES[i][1] - boxes[:, 2], boxes[:, 1], SIZES[i][1] - boxes[:, 0], boxes[:, 3]], axis=1)
    height, width = batch.image_size[0]
    want = np.minimum(boxes * batch.scale[0], [width, height, width, height])
    np.testing.assert_allclose(batch.proposals[0, :count], want, rtol=1e-5, atol=1e-4)
    assert not batch.proposals[0, count:].any()
    assert batch.proposals_valid[0].tolist() == [slot < count for slot in range(6)]
    if count:  # the object is the first proposal
        np.testing.assert_allclose(batch.gt_boxes[0, 0], batch.proposals[0, 0], rtol=1e-6, atol=0.5)


def test_a_mirrored_image_takes_the_proposals_that_were_made_for_it():
    own = np.float32([[0, 0, 30, 40], [50, 10, 120, 60]])
    table = dataclasses.replace(TABLE, mirrored=ProposalTable(own, np.array([0, 0, 0, 0, 2, 2])))
    plain, mirrored = row_of(3, mirrored=False, table=table), row_of(3, mirrored=True, table=table)
    np.testing.assert_array_equal(plain.proposals, row_of(3, mirrored=False).proposals)
    assert mirrored.proposals_valid[0].sum() == 2
    expected = np.float32([[45, 0, 60, 20], [0, 5, 35, 30]])  # of 120 x 120 pixels, resized to 60 x 60
    np.testing.assert_allclose(mirrored.proposals[0, :2], expected, atol=1e-4)


def test_flipping_twice_restores_the_boxes():
    plain, mirrored = row_of(3, mirrored=False), row_of(3, mirrored=True)  # 120 x 120 -> 60 x 60 without rounding
    x1, y1, x2, y2 = mirrored.proposals[0].T
    np.testing.assert_allclose(np.stack([60 - x2, y1, 60 - x1, y2], axis=1), plain.proposals[0], atol=1e-4)


def test_boxes_are_clipped_to_the_resized_image():
    batch = empty_batch((104, 128), 1, max_gt=1, max_proposals=3)
    place_image(batch, 0, np.zeros((47, 61, 3), np.uint8), **SIDES)
    attach_proposals(batch, 0, np.float32([[-3, -1, 70, 50], [0, 0, 61, 47]]))
    assert batch.image_size[0].tolist() == [60, 78]  # 61 x 60 / 47 = 77.87
    assert batch.proposals[0, 0].tolist() == [0, 0, 78, 60]
    assert batch.proposals[0, 1].tolist() == pytest.approx([0, 0, 77.872, 60], abs=1e-3)
    assert batch.proposals_valid[0].tolist() == [True, True, False]


def test_every_batch_has_the_proposals_of_its_images():
    table = {"proposals": TABLE, "max_proposals": 6}
    train = train_batches(Images(), OPTIONS, batch_size=2, start_step=0, seed=1, **table)
    evaluation = eval_batches(Images(), OPTIONS, batch_size=2, **table)
    for batch in [*itertools.islice(train, 3), *evaluation]:
        for row, i in enumerate(batch.image_id):
            np.testing.assert_array_equal(batch.proposals[row], row_of(int(i), mirrored=False).proposals[0])


def test_a_batch_without_proposals_differs_in_its_slots_only():
    plain = eval_batches(Images(), OPTIONS, batch_size=2)
    with_proposals = eval_batches(Images(), OPTIONS, batch_size=2, proposals=TABLE, max_proposals=6)
    for got, want in zip(plain, with_proposals, strict=True):
        assert got.proposals.shape == (2, 0, 4)
        assert got.proposals_valid.shape == (2, 0)
        for field in dataclasses.fields(got)[:-2]:
            np.testing.assert_array_equal(getattr(got, field.name), getattr(want, field.name))


def test_one_image_is_a_batch_with_its_proposals():
    image = Images()[0].image
    batch = image_batch(image, OPTIONS, proposals=TABLE[0], max_proposals=3)
    np.testing.assert_array_equal(batch.proposals, row_of(0, mirrored=False, slots=3).proposals)
    assert batch.proposals_valid.all()
    assert image_batch(image, OPTIONS).proposals.shape == (1, 0, 4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"proposals": ProposalTable(TABLE.boxes[:4], TABLE.starts[:2])}, "must be of 5 images, got those of 1"),
        ({"proposals": TABLE, "max_proposals": 0}, "max_proposals must be at least 1, got 0"),
        ({"proposals": None}, "max_proposals must be 0 without proposals, got 6"),
    ],
)
def test_proposals_that_do_not_fit_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        eval_batches(Images(), OPTIONS, batch_size=2, **{"max_proposals": 6} | wrong)
    with pytest.raises(InputError, match=message):
        train_batches(Images(), OPTIONS, batch_size=2, start_step=0, seed=1, **{"max_proposals": 6} | wrong)
