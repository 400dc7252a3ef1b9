import dataclasses
import itertools
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.data.buckets import buckets
from jaxdet.data.dataset import open_split
from jaxdet.data.pipeline import InputOptions, eval_batches, image_batch, train_batches, train_buckets
from jaxdet.data.transforms import resize
from jaxdet.types import Record

SIDES = {"short_side": 60, "long_side": 100}
OPTIONS = InputOptions(flip=True, max_gt=3, workers=2, **SIDES)
TRAIN = {"batch_size": 4, "seed": 3}


class Images:
    """A types.Dataset of eleven images of several shapes; image i has i % 5 objects, the first difficult."""

    def __init__(self):
        shapes = [(75, 100), (100, 75), (50, 100), (120, 120), (30, 40), (40, 30), (45, 90), (90, 45)]
        self.image_sizes = np.array((shapes * 2)[:11], np.int32)
        self.object_counts = np.array([max(i % 5 - 1, 0) for i in range(11)], np.int32)

    def __len__(self):
        return 11

    def annotations(self, i):
        return self[i]

    def __getitem__(self, i):
        rng, (height, width), count = np.random.default_rng(i), self.image_sizes[i], i % 5
        corners = rng.uniform(0, 20, (count, 2))
        return Record(
            name=f"image{i}",
            image=rng.integers(1, 256, (height, width, 3), np.uint8),
            boxes=np.concatenate([corners, corners + rng.uniform(2, 10, (count, 2))], axis=1).astype(np.float32),
            labels=rng.integers(1, 4, count).astype(np.int32),
            difficult=np.arange(count) == 0,
        )


def take(count, *, start_step=0, process_index=0, process_count=1, **changes):
    options = dataclasses.replace(OPTIONS, **changes)
    rows = {"process_index": process_index, "process_count": process_count}
    return list(itertools.islice(train_batches(Images(), options, start_step=start_step, **TRAIN, **rows), count))


def assert_equal(got, want):
    for field in dataclasses.fields(want):
        np.testing.assert_array_equal(getattr(got, field.name), getattr(want, field.name))


def test_only_the_buckets_of_the_remaining_steps_are_named_in_order_of_first_use():
    def named(start, steps, **changes):
        options = dataclasses.replace(OPTIONS, **changes)
        return train_buckets(Images(), options, start_step=start, steps=steps, **TRAIN)

    for start, steps in ((0, 1), (0, 3), (0, 40), (5, 40), (38, 40), (40, 40)):
        used = [batch.image.shape[1:3] for batch in take(steps - start, start_step=start)]
        assert named(start, steps) == list(dict.fromkeys(used))
    left_out = [batch.image.shape[1:3] for batch in take(40, drop_empty=True)]
    assert named(0, 40, drop_empty=True) == list(dict.fromkeys(left_out))


def test_fields_have_the_dtypes_of_the_contract():
    for batch in take(8):
        assert batch.image.shape[1:3] in buckets(**SIDES)
        types = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
        assert {name: (array.dtype.name, array.shape[0]) for name, array in types.items()} == {
            "image": ("uint8", 4),
            "image_size": ("float32", 4),
            "scale": ("float32", 4),
            "image_id": ("int32", 4),
            "image_valid": ("bool", 4),
            "gt_boxes": ("float32", 4),
            "gt_labels": ("int32", 4),
            "gt_valid": ("bool", 4),
            "proposals": ("float32", 4),
            "proposals_valid": ("bool", 4),
        }
        assert batch.image_valid.all()
        assert len(jax.tree.leaves(batch)) == 10


def test_a_row_holds_its_resized_image_top_left_and_its_scaled_objects():
    images = Images()
    for batch in eval_batches(images, OPTIONS, batch_size=4):
        for row, i in enumerate(batch.image_id):
            record = images[i]
            image, scale = resize(record.image, **SIDES)
            height, width = image.shape[:2]
            np.testing.assert_array_equal(batch.image[row, :height, :width], image)
            assert not batch.image[row, height:].any()
            assert not batch.image[row, :, width:].any()
            assert batch.image_size[row].tolist() == [height, width]
            assert batch.scale[row] == np.float32(scale)
            used = ~record.difficult
            assert batch.gt_valid[row].tolist() == [slot < min(used.sum(), 3) for slot in range(3)]
            count = used.sum()
            np.testing.assert_allclose(batch.gt_boxes[row, :count], record.boxes[used] * scale, rtol=1e-6)
            np.testing.assert_array_equal(batch.gt_labels[row, :count], record.labels[used])


def test_use_difficult_adds_the_difficult_objects():
    for batch, plain in zip(take(5, max_gt=4, use_difficult=True), take(5, max_gt=4), strict=True):
        np.testing.assert_array_equal(batch.image, plain.image)
        assert batch.gt_valid.sum(axis=1).tolist() == [i % 5 for i in batch.image_id]
        assert plain.gt_valid.sum(axis=1).tolist() == [max(i % 5 - 1, 0) for i in batch.image_id]
    options = dataclasses.replace(OPTIONS, max_gt=4, use_difficult=True)
    for batch in eval_batches(Images(), options, batch_size=4):
        assert batch.gt_valid.sum(axis=1).tolist() == [i % 5 for i in batch.image_id]


@pytest.mark.parametrize(("use_difficult", "empty"), [(False, {0, 1, 5, 6, 10}), (True, {0, 5, 10})])
def test_drop_empty_leaves_out_images_without_an_object_to_train_on(use_difficult, empty, caplog):
    def seen(drop_empty):
        batches = take(40, use_difficult=use_difficult, drop_empty=drop_empty)
        return {int(i) for batch in batches for i in batch.image_id}

    assert seen(False) == set(range(11))
    assert "left out" not in caplog.text
    caplog.set_level("INFO")
    assert seen(True) == set(range(11)) - empty
    assert f"{len(empty)} of 11 images have no object to train on and are left out" in caplog.text
    options = dataclasses.replace(OPTIONS, use_difficult=use_difficult, drop_empty=True)
    evaluated = [batch.image_id[batch.image_valid] for batch in eval_batches(Images(), options, batch_size=4)]
    assert sorted(np.concatenate(evaluated)) == list(range(11))


def test_all_processes_drop_the_same_images():
    whole = take(9, drop_empty=True)
    parts = [take(9, drop_empty=True, process_index=i, process_count=2) for i in range(2)]
    for batch, *rows in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate([part.image_id for part in rows]), batch.image_id)


def test_a_split_without_any_object_to_train_on_is_refused():
    class Empty(Images):
        def __init__(self):
            super().__init__()
            self.object_counts = np.zeros(11, np.int32)

    options = dataclasses.replace(OPTIONS, drop_empty=True)
    with pytest.raises(InputError, match="input.drop_empty must leave an image to train on, got 11 images without"):
        train_batches(Empty(), options, start_step=0, **TRAIN)


def test_flipped_rows_mirror_image_and_objects():
    plain = {int(i): (b, row) for b in take(8, flip=False) for row, i in enumerate(b.image_id)}
    mirrored = 0
    for batch in take(8):
        for row, i in enumerate(batch.image_id):
            other, place = plain[int(i)]
            height, width = batch.image_size[row].astype(int)
            image, straight = batch.image[row, :height, :width], other.image[place, :height, :width]
            if (image == straight).all():
                continue
            mirrored += 1
            assert np.abs(image.astype(int) - straight[:, ::-1]).max() <= 1
            valid, boxes = batch.gt_valid[row], other.gt_boxes[place]
            want = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
            np.testing.assert_allclose(batch.gt_boxes[row][valid], want[valid], atol=0.5)  # width is a rounded number
    assert mirrored > 3


def test_a_later_start_step_continues_the_same_stream():
    stream = take(13)
    for start in (1, 6, 11):
        for got, want in zip(take(2, start_step=start), stream[start:], strict=False):
            assert_equal(got, want)


def test_two_processes_share_the_batches_of_one():
    parts = [take(5, process_index=i, process_count=2) for i in range(2)]
    for first, second, whole in zip(*parts, take(5), strict=True):
        both = jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second)
        assert_equal(both, whole)


def test_worker_count_does_not_change_the_batches():
    for got, want in zip(take(4, workers=1), take(4, workers=5), strict=True):
        assert_equal(got, want)


def test_evaluation_sees_each_image_once():
    batches = list(eval_batches(Images(), OPTIONS, batch_size=4))
    seen = np.concatenate([batch.image_id[batch.image_valid] for batch in batches])
    assert sorted(seen.tolist()) == list(range(11))
    assert all((batch.image_size > 0).all() for batch in batches)
    halves = [list(eval_batches(Images(), OPTIONS, batch_size=4, process_index=i, process_count=2)) for i in range(2)]
    assert [len(half) for half in halves] == [len(batches)] * 2
    assert [b.image.shape[1:] for b in halves[0]] == [b.image.shape[1:] for b in halves[1]]


def test_more_objects_than_slots_are_counted_in_the_log(caplog):
    (batch,) = take(1, max_gt=2)
    assert "2 of 11 images have more than 2 objects (up to 3): the largest are used" in caplog.text
    assert batch.gt_valid.shape == (4, 2)


def test_a_program_ends_at_ctrl_c(shapes_builder):
    code = (
        "import os, signal, tensorflow_datasets as tfds\n"
        "from jaxdet.data.dataset import open_split\n"
        "from jaxdet.data.pipeline import InputOptions, train_batches\n"
        f"dataset = open_split(tfds.builder_from_directory({str(shapes_builder.data_path)!r}), 'train')\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job has it ignored
        f"for step, batch in enumerate(train_batches(dataset, {OPTIONS!r}, start_step=0, **{TRAIN!r})):\n"
        "    if step == 5: os.kill(os.getpid(), signal.SIGINT)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "KeyboardInterrupt" in done.stderr


def test_a_program_that_ends_without_closing_prints_nothing(shapes_builder):
    options = dataclasses.replace(OPTIONS, max_gt=9)
    code = (
        "import tensorflow_datasets as tfds\n"
        "from jaxdet.data.dataset import open_split\n"
        "from jaxdet.data.pipeline import InputOptions, train_batches\n"
        f"dataset = open_split(tfds.builder_from_directory({str(shapes_builder.data_path)!r}), 'train')\n"
        f"batches = train_batches(dataset, {options!r}, start_step=0, **{TRAIN!r})\n"
        "next(batches)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_prepared_records_become_batches(shapes_builder):
    dataset = open_split(shapes_builder, "train")
    batch = next(train_batches(dataset, OPTIONS, start_step=0, **TRAIN))
    assert batch.image.any()
    assert batch.gt_valid.any()


def test_a_wrong_batch_size_is_refused_at_once():
    with pytest.raises(InputError, match="multiple of the number of processes"):
        train_batches(Images(), OPTIONS, start_step=0, process_count=3, **TRAIN)


@pytest.mark.parametrize("field", ["workers", "max_gt"])
def test_zero_slots_or_workers_are_refused(field):
    with pytest.raises(InputError, match=f"input.{field} must be at least 1, got 0"):
        dataclasses.replace(OPTIONS, **{field: 0})


def test_one_image_is_a_batch():
    image = np.random.default_rng(0).integers(0, 256, (90, 45, 3), np.uint8)
    batch = image_batch(image, OPTIONS)
    assert batch.image.shape == (1, 112, 64, 3)
    assert batch.image_size.tolist() == [[100, 50]]
    assert batch.image_valid.tolist() == [True]
    assert not batch.gt_valid.any()
    np.testing.assert_array_equal(batch.image[0, :100, :50], resize(image, **SIDES)[0])
