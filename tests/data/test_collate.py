import dataclasses
import itertools

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.data.collate import attach_proposals, empty_batch, fill, place_image
from jaxdet.data.pipeline import eval_batches, photo_batch, train_batches
from jaxdet.types import ProposalTable, Record

SIDES = {"short_side": 60, "long_side": 100}
SIZES = np.array([(75, 100), (101, 75), (50, 103), (120, 120), (47, 61)], np.int32)
COUNTS = [4, 0, 2, 9, 1]
READ = {"batch_size": 2, "max_gt": 1, "workers": 2, **SIDES}


class Photos:
    """Five photos whose one object is the first proposal, where there is one."""

    image_sizes, object_counts = SIZES, np.array([1, 0, 1, 1, 1], np.int32)

    def __len__(self):
        return 5

    def __getitem__(self, i):
        boxes, (height, width) = TABLE[i][:1], SIZES[i]
        image = np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8)
        return Record(f"photo{i}", boxes, np.ones(len(boxes), np.int32), np.zeros(len(boxes), bool), image)


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


def row_of(i, *, mirrored, slots=6):
    batch = empty_batch((104, 128), 1, max_gt=1, max_proposals=slots)
    batch.image_id[0] = i
    fill(batch, 0, dataset=Photos(), proposals=TABLE, mirrored=mirrored, use_difficult=False, **SIDES)
    return batch


@pytest.mark.parametrize("i", range(5))
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_best_proposals_go_through_resizing_and_flip_and_are_padded(i, mirrored):
    batch, boxes, count = row_of(i, mirrored=mirrored), TABLE[i][:6].astype(np.float64), min(COUNTS[i], 6)
    if mirrored:
        boxes = np.stack([SIZES[i][1] - boxes[:, 2], boxes[:, 1], SIZES[i][1] - boxes[:, 0], boxes[:, 3]], axis=1)
    height, width = batch.image_size[0]
    want = np.minimum(boxes * batch.scale[0], [width, height, width, height])
    np.testing.assert_allclose(batch.proposals[0, :count], want, rtol=1e-5, atol=1e-4)
    assert not batch.proposals[0, count:].any()
    assert batch.proposals_valid[0].tolist() == [slot < count for slot in range(6)]
    if count:  # the object, which is the first proposal, went the same way
        np.testing.assert_allclose(batch.gt_boxes[0, 0], batch.proposals[0, 0], rtol=1e-6, atol=0.5)


def test_flipping_twice_gives_the_boxes_back():
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


def test_every_batch_carries_the_proposals_of_its_images():
    train = train_batches(Photos(), start_step=0, seed=1, flip=False, proposals=TABLE, max_proposals=6, **READ)
    evaluation = eval_batches(Photos(), proposals=TABLE, max_proposals=6, **READ)
    for batch in [*itertools.islice(train, 3), *evaluation]:
        for row, i in enumerate(batch.image_id):
            np.testing.assert_array_equal(batch.proposals[row], row_of(int(i), mirrored=False).proposals[0])


def test_without_proposals_there_are_no_slots_and_the_rest_is_the_same():
    both = eval_batches(Photos(), **READ), eval_batches(Photos(), proposals=TABLE, max_proposals=6, **READ)
    for without, with_them in zip(*both, strict=True):
        assert without.proposals.shape == (2, 0, 4)
        assert without.proposals_valid.shape == (2, 0)
        for field in dataclasses.fields(without)[:-2]:
            np.testing.assert_array_equal(getattr(without, field.name), getattr(with_them, field.name))


def test_a_photo_takes_its_proposals_along():
    image = Photos()[0].image
    batch = photo_batch(image, proposals=TABLE[0], max_proposals=3, **SIDES)
    np.testing.assert_array_equal(batch.proposals, row_of(0, mirrored=False, slots=3).proposals)
    assert batch.proposals_valid.all()
    assert photo_batch(image, **SIDES).proposals.shape == (1, 0, 4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"proposals": ProposalTable(TABLE.boxes[:4], TABLE.starts[:2])}, "must be of 5 images, got those of 1"),
        ({"proposals": TABLE, "max_proposals": 0}, "max_proposals must be at least 1, got 0"),
        ({"proposals": None}, "max_proposals must be 0 without proposals, got 6"),
    ],
)
def test_proposals_that_do_not_fit_are_refused_at_once(wrong, message):
    with pytest.raises(InputError, match=message):
        eval_batches(Photos(), **READ | {"max_proposals": 6} | wrong)
    with pytest.raises(InputError, match=message):
        train_batches(Photos(), start_step=0, seed=1, flip=True, **READ | {"max_proposals": 6} | wrong)
