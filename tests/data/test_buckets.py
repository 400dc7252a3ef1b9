import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxdet.checks import InputError
from jaxdet.data.buckets import (
    assign_buckets,
    batches_per_epoch,
    buckets,
    check_rows,
    eval_plan,
    leave_out,
    train_plan,
)
from jaxdet.data.transforms import resized_size

LYING, STANDING = (608, 800), (800, 608)


def test_buckets_for_the_papers_sides():
    assert buckets(short_side=600, long_side=1000) == (LYING, STANDING, (608, 1008), (1008, 608))


def test_buckets_are_square_only_where_the_sides_are_equal():
    assert buckets(short_side=192, long_side=192) == ((192, 192),)
    assert buckets(short_side=480, long_side=640) == ((480, 640), (640, 480))


def test_wrong_sides_are_refused():
    with pytest.raises(InputError, match="short_side .* got 1000 and 600"):
        buckets(short_side=1000, long_side=600)


@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), min_size=1, max_size=20))
def test_every_image_has_the_smallest_bucket_that_holds_it(sizes):
    sides = {"short_side": 600, "long_side": 1000}
    for size, (height, width) in zip(sizes, assign_buckets(np.array(sizes), **sides), strict=True):
        resized = resized_size(*size, **sides)
        assert resized[0] <= height
        assert resized[1] <= width
        fitting = [h * w for h, w in buckets(**sides) if resized[0] <= h and resized[1] <= w]
        assert height * width == min(fitting)


ASSIGNED = [LYING] * 7 + [STANDING] * 2


@given(st.integers(1, 10), st.integers(0, 2**31), st.integers(0, 50))
def test_an_epoch_sees_every_image_in_batches_of_one_bucket(batch_size, seed, epoch):
    plan = train_plan(ASSIGNED, batch_size=batch_size, seed=seed, epoch=epoch)
    assert len(plan) == batches_per_epoch(ASSIGNED, batch_size=batch_size)
    for batch in plan:
        assert batch.image_id.shape == (batch_size,)
        assert batch.valid.all()
        assert {ASSIGNED[i] for i in batch.image_id} == {batch.bucket}
    seen = np.bincount(np.concatenate([batch.image_id for batch in plan]), minlength=9)
    assert (seen >= 1).all()
    assert seen[:7].max() - seen[:7].min() <= 1  # the filling spreads evenly
    assert seen[7:].max() - seen[7:].min() <= 1


def test_a_plan_depends_on_seed_and_epoch():
    def ids(**which):
        return [batch.image_id.tolist() for batch in train_plan(ASSIGNED, batch_size=2, **which)]

    assert ids(seed=1, epoch=3) == ids(seed=1, epoch=3)
    assert ids(seed=1, epoch=3) != ids(seed=1, epoch=4)
    assert ids(seed=1, epoch=3) != ids(seed=2, epoch=3)


@given(st.integers(1, 6), st.lists(st.booleans(), min_size=9, max_size=9).filter(any))
def test_an_image_that_is_left_out_is_in_no_batch_and_changes_no_flip(batch_size, used):
    assigned = leave_out(ASSIGNED, np.array(used))
    plan = train_plan(assigned, batch_size=batch_size, seed=1, epoch=4)
    assert len(plan) == batches_per_epoch(assigned, batch_size=batch_size)
    assert {int(i) for batch in plan for i in batch.image_id} == set(np.flatnonzero(used))
    every = train_plan(ASSIGNED, batch_size=1, seed=1, epoch=4)
    flips = {int(batch.image_id[0]): bool(batch.flip[0]) for batch in every}
    for batch in plan:
        assert batch.flip.tolist() == [flips[i] for i in batch.image_id.tolist()]


def test_flips_do_not_depend_on_the_batch_size():
    def flips(batch_size):
        batches = train_plan([LYING] * 200, batch_size=batch_size, seed=5, epoch=2)
        return {int(i): bool(f) for batch in batches for i, f in zip(batch.image_id, batch.flip, strict=True)}

    assert flips(2) == flips(7)
    assert 70 < sum(flips(2).values()) < 130


def test_processes_take_contiguous_rows_of_the_same_batches():
    for batch in train_plan(ASSIGNED, batch_size=4, seed=0, epoch=0):
        parts = [batch.rows(i, 2) for i in range(2)]
        assert {part.bucket for part in parts} == {batch.bucket}
        np.testing.assert_array_equal(np.concatenate([part.image_id for part in parts]), batch.image_id)
        np.testing.assert_array_equal(np.concatenate([part.flip for part in parts]), batch.flip)


@given(st.integers(1, 12))
def test_evaluation_sees_each_image_once(batch_size):
    plan = eval_plan(ASSIGNED, batch_size=batch_size)
    seen = np.concatenate([batch.image_id[batch.valid] for batch in plan])
    assert sorted(seen.tolist()) == list(range(9))
    assert not any(batch.flip.any() for batch in plan)
    for batch in plan:
        assert {ASSIGNED[i] for i in batch.image_id} == {batch.bucket}


@pytest.mark.parametrize(("batch_size", "processes"), [(0, 1), (3, 2), (-2, 2)])
def test_a_batch_size_that_leaves_a_process_without_rows_is_refused(batch_size, processes):
    with pytest.raises(InputError, match=f"multiple of the number of processes .{processes}.*got {batch_size}"):
        check_rows(batch_size, processes)
