"""Detections and annotations of a split as tables: every image once, without padding."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.evaluation.detect import detect_split, ground_truth_table
from jaxdet.types import Annotation, Batch, Detections


def make_batch(ids, valid):
    b = len(ids)
    return Batch(
        image=np.zeros((b, 4, 4, 3), np.uint8),
        image_size=np.full((b, 2), 4, np.float32),
        scale=np.ones(b, np.float32),
        image_id=np.array(ids, np.int32),
        image_valid=np.array(valid),
        gt_boxes=np.zeros((b, 1, 4), np.float32),
        gt_labels=np.zeros((b, 1), np.int32),
        gt_valid=np.zeros((b, 1), bool),
        proposals=np.zeros((b, 0, 4), np.float32),
        proposals_valid=np.zeros((b, 0), bool),
    )


@jax.jit
def two_slots(batch):
    """Detect one box per image i, at x1 = i with score i/10, and a second one in every second image."""
    ids = batch.image_id.astype(jnp.float32)
    boxes = ids[:, None, None] + jnp.array([[[0.0, 0.0, 5.0, 5.0], [1.0, 1.0, 6.0, 6.0]]])
    valid = jnp.stack([jnp.ones_like(ids, bool), batch.image_id % 2 == 0], axis=1)
    labels = jnp.broadcast_to(jnp.array([[1, 2]], jnp.int32), valid.shape)
    return Detections(boxes, jnp.stack([ids / 10, ids / 20], axis=1), labels, valid)


def test_the_table_holds_the_valid_detections_of_valid_images_by_image():
    batches = [make_batch([3, 2], [True, True]), make_batch([0, 0], [True, False]), make_batch([1, 3], [True, False])]
    finished = []
    table = detect_split(two_slots, iter(batches), finish=finished.append)
    assert finished == [2, 1, 1]
    np.testing.assert_array_equal(table.image, [0, 0, 1, 2, 2, 3])
    np.testing.assert_array_equal(table.labels, [1, 2, 1, 1, 2, 1])
    np.testing.assert_array_equal(table.boxes[:, 0], [0, 1, 1, 2, 3, 3])
    np.testing.assert_allclose(table.scores, [0, 0, 0.1, 0.2, 0.1, 0.3], atol=1e-7)
    assert isinstance(table.boxes, np.ndarray) and table.boxes.dtype == np.float32


def test_a_batch_is_started_before_the_one_before_is_fetched():
    events = []

    class Scores:
        """Stand-in for an array on a device that records when it is fetched."""

        def __init__(self, i):
            self.i = i

        def __array__(self, dtype=None, copy=None):
            events.append(("fetch", self.i))
            return np.full((1, 2), 0.5, np.float32)

    def predict(batch):
        i = int(batch.image_id[0])
        events.append(("start", i))
        return dataclasses.replace(two_slots(batch), scores=Scores(i))

    detect_split(predict, (make_batch([i], [True]) for i in range(3)))
    order = "start 0, start 1, fetch 0, start 2, fetch 1, fetch 2"
    assert ", ".join(f"{action} {i}" for action, i in events) == order


def test_no_batches_give_an_empty_table():
    table = detect_split(two_slots, [])
    assert table.boxes.shape == (0, 4) and table.labels.dtype == np.int32


def test_an_image_that_comes_twice_is_refused():
    with pytest.raises(ValueError, match=r"each image must come once, got \[1\] more often"):
        detect_split(two_slots, [make_batch([1, 2], [True, True]), make_batch([1, 3], [True, True])])


class ThreeImages:
    """The part of a data set that ground_truth_table reads; decoding would fail."""

    records = [
        Annotation("a", np.ones((2, 4), np.float32), np.array([1, 2], np.int32),
               np.array([False, True])),
        Annotation("b", np.zeros((0, 4), np.float32), np.zeros(0, np.int32),
               np.zeros(0, bool)),
        Annotation("c", np.full((1, 4), 3, np.float32), np.array([1], np.int32),
               np.array([False])),
    ]  # fmt: skip

    def __len__(self):
        return 3

    def annotations(self, i):
        return self.records[i]


def test_the_ground_truth_table_holds_every_object_and_its_image():
    table = ground_truth_table(ThreeImages())
    np.testing.assert_array_equal(table.image, [0, 0, 2])
    np.testing.assert_array_equal(table.labels, [1, 2, 1])
    np.testing.assert_array_equal(table.difficult, [False, True, False])
    np.testing.assert_array_equal(table.boxes[:, 0], [1, 1, 3])
    assert table.boxes.dtype == np.float32 and table.difficult.dtype == bool
