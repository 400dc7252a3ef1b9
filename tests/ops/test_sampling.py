"""Counts and uniformity of samples; padding does not change a sample."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.ops import sampling
from jaxdet.ops.sampling import keep_sampled
from tests import laws

KEY = jax.random.key(3)
sample = jax.jit(sampling.sample, static_argnames=("size", "max_positive"))


def labels(positives, negatives, ignored, seed=0):
    label = np.repeat([1, 0, -1], [positives, negatives, ignored]).astype(np.int32)
    return jnp.asarray(np.random.default_rng(seed).permutation(label))


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"),
    [
        (20, 100, (8, 24)),  # enough of both
        (3, 100, (3, 29)),  # filled up with negatives
        (20, 5, (8, 5)),  # not filled up with positives
        (0, 100, (0, 32)),
        (20, 0, (8, 0)),
        (0, 0, (0, 0)),
        (2, 3, (2, 3)),
    ],
)
def test_counts_of_positives_and_negatives(positives, negatives, expected):
    label = labels(positives, negatives, 10)
    index, valid = sample(KEY, label, jnp.ones(label.shape, bool), size=32, max_positive=8)
    assert index.shape == valid.shape == (32,)
    chosen = np.asarray(index)[np.asarray(valid)]
    assert len(set(chosen.tolist())) == len(chosen) == sum(expected)
    np.testing.assert_array_equal(label[chosen], [1] * expected[0] + [0] * expected[1])  # positives first
    np.testing.assert_array_equal(valid, np.arange(32) < sum(expected))
    np.testing.assert_array_equal(index[sum(expected) :], 0)


def test_max_positive_zero_samples_negatives_only():
    label = labels(5, 5, 5)
    index, valid = sample(KEY, label, jnp.ones(15, bool), size=4, max_positive=0)
    assert jnp.all(valid)
    np.testing.assert_array_equal(label[index], 0)


def test_candidates_are_equally_likely():
    label = jnp.array([0, 1, 0, 1, -1, 0, 1, 0, 0, 0])
    valid = jnp.ones(10, bool)
    index, sampled = jax.vmap(lambda key: sample(key, label, valid, size=4, max_positive=1))(
        jax.random.split(KEY, 6000)
    )
    assert jnp.all(sampled)
    share = np.bincount(np.asarray(index).reshape(-1), minlength=10) / 6000
    expected = np.array([1 / 2, 1 / 3, 1 / 2, 1 / 3, 0, 1 / 2, 1 / 3, 1 / 2, 1 / 2, 1 / 2])
    np.testing.assert_allclose(share, expected, atol=0.03)  # four standard deviations


def test_equal_random_numbers_do_not_change_the_counts(monkeypatch):
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape: jnp.zeros(shape))
    label = labels(20, 20, 5)
    index, valid = sampling.sample(KEY, label, jnp.ones(45, bool), size=16, max_positive=4)
    sampled = keep_sampled(label, index, valid)
    assert int(jnp.sum(sampled == 1)) == 4
    assert int(jnp.sum(sampled == 0)) == 12


def test_keep_sampled_ignores_all_slots_outside_the_sample():
    label = jnp.concatenate([jnp.ones(1, jnp.int32), labels(200, 100, 10)])
    index, valid = sample(KEY, label, jnp.ones(311, bool), size=200, max_positive=8)
    sampled = np.asarray(keep_sampled(label, index, valid))
    chosen = np.asarray(index)[np.asarray(valid)]
    assert 0 not in chosen  # so this shows that invalid slots of the sample, whose index is 0, do not count
    np.testing.assert_array_equal(np.flatnonzero(sampled >= 0), np.sort(chosen))
    np.testing.assert_array_equal(sampled[chosen], label[chosen])


def test_laws():
    def function(label, valid):
        index, sampled = sampling.sample(KEY, label, valid, size=32, max_positive=8)
        return index, sampled, keep_sampled(label, index, sampled)

    label = labels(20, 100, 10)
    valid = jnp.ones(130, bool)
    laws.assert_jit_law(function, label, valid)
    laws.assert_vmap_law(function, (label, valid), (label[::-1], valid), (labels(2, 3, 125), valid))


def test_a_wider_bucket_gives_the_same_sample():
    # A map of 10 x 13 cells in wider and higher buckets, whose new cells lie between the old ones.
    label = labels(20, 100, 10).reshape(10, 13)
    index, sampled = sample(KEY, label.reshape(-1), jnp.ones(130, bool), size=32, max_positive=8)
    for rows, columns in ((10, 20), (40, 40)):
        padded = jnp.full((rows, columns), -1, jnp.int32).at[:10, :13].set(label).reshape(-1)
        valid = jnp.zeros((rows, columns), bool).at[:10, :13].set(True).reshape(-1)
        wide_index, wide_sampled = sample(KEY, padded, valid, size=32, max_positive=8)
        np.testing.assert_array_equal(wide_sampled, sampled)
        np.testing.assert_array_equal(wide_index // columns * 13 + wide_index % columns, index)
