"""The TPU's sorting kernel against XLA's sort and top_k; here it is interpreted."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from jaxdet.ops import sort_tpu, sorting
from jaxdet.ops.by_platform import lowered_for


@pytest.fixture
def with_kernel(monkeypatch):
    """Let `sort` run the kernel."""
    monkeypatch.setattr(sorting, "sort", functools.partial(sort_tpu.sort, interpret=True))


def keys(length):
    """Keys of which many are equal, with both zeros and both infinities."""
    rng = np.random.default_rng(length)
    values = rng.integers(-20, 20, length).astype(np.float32) / 7
    return np.where(rng.random(length) < 0.2, rng.choice(np.float32([np.inf, -np.inf, 0.0, -0.0]), length), values)


def assert_equal(got, want):
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("length", [1, 5, 1024, 1025, 9000])  # of one tile, less than it and several
def test_the_kernel_is_a_stable_sort(length):
    key, value = jnp.asarray(keys(length)), jnp.asarray(keys(length + 1)[:length])
    place = jnp.arange(length)
    got = jax.jit(functools.partial(sort_tpu.sort, num_keys=2, interpret=True))(key, place, value)
    assert_equal(got, lax.sort((key, place, value), num_keys=1, is_stable=True))


def test_keys_are_compared_one_after_the_other():
    length = 300
    level, key = jnp.asarray(np.random.default_rng(0).integers(-2, 3, length), jnp.int32), jnp.asarray(keys(length))
    got = sort_tpu.sort(level, key, jnp.arange(length), num_keys=3, interpret=True)
    want = lax.sort((level, key, jnp.arange(length)), num_keys=2, is_stable=True)
    assert_equal(got, want)


def test_nan_comes_last_and_nothing_is_lost():
    key = jnp.asarray([np.nan, 2, -np.nan, np.inf, -1], jnp.float32)
    key, index = sort_tpu.sort(key, jnp.arange(5), num_keys=2, interpret=True)
    np.testing.assert_array_equal(index, [4, 1, 3, 0, 2])
    np.testing.assert_array_equal(key, np.float32([-1, 2, np.inf, np.nan, np.nan]))


def test_only_what_fits_the_fast_memory_of_any_tpu_is_sorted_by_the_kernel():
    assert sort_tpu.fits(121_515, 7)  # anchors of a pyramid on 608x800, with 14 MiB
    assert not sort_tpu.fits(153_000, 7)
    lowered = {}
    for length in (121_515, 153_000):
        with lowered_for("tpu"):
            function = jax.jit(lambda *operands: sorting.sort(*operands, num_keys=3))
            exported = export.export(function, platforms=["tpu"])(*[jax.ShapeDtypeStruct((length,), jnp.int32)] * 7)
        lowered[length] = exported.mlir_module()
    assert 'kernel_name = "sort"' in lowered[121_515] and "stablehlo.sort" not in lowered[121_515]
    assert "stablehlo.sort" in lowered[153_000] and "kernel_name" not in lowered[153_000]


def test_vmap_sorts_each_row():
    rows = jnp.stack([jnp.asarray(keys(700)), -jnp.asarray(keys(700))])
    order = jax.vmap(lambda row: sort_tpu.sort(row, jnp.arange(700), num_keys=2, interpret=True)[1])(rows)
    np.testing.assert_array_equal(order, jnp.argsort(rows, axis=1, stable=True))


@pytest.mark.parametrize("count", [1, 40, 300])
def test_the_largest(count, with_kernel):
    values = jnp.asarray(keys(300) + np.float32(0))  # no -0
    got = sorting.top_k_by_sorting(values, count=count)
    assert_equal(got, lax.top_k(values, count))
    assert not np.any(np.signbit(got[0]) & (got[0] == 0))


def test_boxes_move_with_their_keys(with_kernel):
    key = jnp.asarray(keys(300))
    boxes = jnp.asarray(np.random.default_rng(1).random((300, 4)), jnp.float32)
    first, sorted_boxes = sorting.sort_boxes(key, boxes, count=200)
    order = np.argsort(key, stable=True)[:200]
    np.testing.assert_array_equal(first, key[order])
    np.testing.assert_array_equal(sorted_boxes, boxes[order])


@pytest.mark.parametrize("length", [1, 50, 64])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.8, 1.0])
def test_values_move_to_the_front_and_to_the_slot_of_their_rank(length, share):
    rng = np.random.default_rng(0)
    values, chosen = rng.permutation(length).astype(np.float32), rng.random(length) < share
    (front,) = sorting.move_to_front(jnp.asarray(chosen), jnp.asarray(values))
    np.testing.assert_array_equal(front[: chosen.sum()], values[chosen])
    moved = sorting.move_to_chosen(jnp.asarray(chosen), jnp.asarray(values))
    np.testing.assert_array_equal(moved[chosen], values[: chosen.sum()])
