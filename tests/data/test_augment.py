"""Augmented batches: deterministic, of the same buckets, never without an object that the image has."""

import itertools

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.data.augment import TRIES, Augmentation, random_view
from jaxdet.data.pipeline import InputOptions, train_batches
from jaxdet.types import ProposalTable, Record

OPTIONS = InputOptions(flip=True, max_gt=2, workers=2, short_side=60, long_side=100)
STRONG = Augmentation(scale=(0.5, 2.0), crop=0.4, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)


class Squares:
    """A types.Dataset: white images with a dark square, which is the object; the last one is empty."""

    names = [f"image{i}" for i in range(5)]
    image_sizes = np.array([(75, 100), (101, 75), (80, 80), (60, 90), (50, 50)], np.int32)
    object_counts = np.array([1, 1, 1, 1, 0], np.int32)

    def __len__(self):
        return 5

    def box(self, i):
        height, width = self.image_sizes[i]
        return np.array([[width // 4, height // 4, width // 2, height // 2]], np.float32)[: self.object_counts[i]]

    def __getitem__(self, i):
        image = np.full((*self.image_sizes[i], 3), 230, np.uint8)
        for x1, y1, x2, y2 in self.box(i).astype(int):
            image[y1:y2, x1:x2] = 20
        count = self.object_counts[i]
        return Record(self.names[i], self.box(i), np.ones(count, np.int32), np.zeros(count, bool), image)


def batches(count=6, **more):
    options = {"batch_size": 2, "seed": 3, "start_step": 0, "augmentation": STRONG} | more
    return list(itertools.islice(train_batches(Squares(), OPTIONS, **options), count))


def assert_equal(a, b):
    for name, value in vars(a).items():
        np.testing.assert_array_equal(value, getattr(b, name), err_msg=name)


def test_a_later_start_and_the_shares_of_two_processes_are_the_same_stream():
    whole = batches()
    assert_equal(whole[4], batches(1, start_step=4)[0])
    for number in range(2):
        share = batches(1, process_index=number, process_count=2)[0]
        np.testing.assert_array_equal(share.image[0], whole[0].image[number])
        np.testing.assert_array_equal(share.gt_boxes[0], whole[0].gt_boxes[number])


def test_the_buckets_are_those_without_augmentation():
    plain = batches(augmentation=Augmentation())
    for augmented, batch in zip(batches(), plain, strict=True):
        assert augmented.image.shape == batch.image.shape
        np.testing.assert_array_equal(augmented.image_id, batch.image_id)
        assert (augmented.image_size <= augmented.image.shape[1:3]).all()


def test_every_epoch_and_image_has_changes_of_its_own():
    first = {(int(i), e): s for e in range(3) for b in epoch(e) for i, s in zip(b.image_id, b.scale, strict=True)}
    assert len(set(first.values())) == len(first)


def epoch(number):
    return batches(3, start_step=3 * number)


def test_the_boxes_lie_on_the_objects_of_the_augmented_image():
    only_moved = Augmentation(scale=(0.5, 2.0), crop=0.4)
    for batch in batches(12, augmentation=only_moved):
        for image, boxes, valid, size in zip(
            batch.image, batch.gt_boxes, batch.gt_valid, batch.image_size, strict=True
        ):
            height, width = size.astype(int)
            dark = np.argwhere(image[:height, :width, 0] < 125)
            if not valid.any():
                assert len(dark) == 0
                continue
            (y1, x1), (y2, x2) = dark.min(axis=0), dark.max(axis=0) + 1
            np.testing.assert_allclose(boxes[0], [x1, y1, x2, y2], atol=2.5)


def test_an_image_keeps_an_object_and_a_proposal_or_stays_as_it_is():
    image, boxes = np.zeros((100, 100, 3), np.uint8), np.array([[0, 0, 3, 3], [97, 97, 100, 100]], np.float32)
    options = Augmentation(crop=0.3, min_object_area=1.0)
    view = random_view(
        np.random.default_rng(0),
        image,
        boxes,
        is_object=np.array([True, False]),  # no window of a third holds both
        base_scale=0.5,
        bucket=(64, 64),
        options=options,
    )
    assert view.is_visible.all() and view.scale == 0.5 and view.resized.shape == (50, 50, 3)
    alone = random_view(
        np.random.default_rng(0),
        image,
        boxes[:1],
        is_object=np.array([True]),
        base_scale=0.5,
        bucket=(64, 64),
        options=options,
    )
    assert alone.is_visible.all()
    assert TRIES == 10


def test_proposals_are_augmented_with_the_image():
    starts = np.arange(6, dtype=np.int64)
    boxes = np.concatenate([Squares().box(i) if i < 4 else np.array([[0, 0, 50, 50]], np.float32) for i in range(5)])
    table = ProposalTable(boxes, starts)
    for batch in batches(augmentation=Augmentation(scale=(0.5, 2.0), crop=0.4), proposals=table, max_proposals=2):
        has = batch.gt_valid[:, 0]
        limit = np.tile(batch.image_size[:, ::-1], 2)[has]
        np.testing.assert_array_equal(batch.proposals[has, 0], np.clip(batch.gt_boxes[has, 0], 0, limit))
        assert batch.proposals_valid[:, 0].all()


@pytest.mark.parametrize("values", [{"scale": (0.0, 1.0)}, {"scale": (2.0, 1.0)}, {"crop": 0.0}])
def test_impossible_changes_are_refused(values):
    with pytest.raises(InputError, match=f"augmentation.{next(iter(values))} must be "):
        Augmentation(**values)
