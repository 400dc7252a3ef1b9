import functools
import logging

import jax
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.training import sharding
from jaxdet.training.checkpoints import Checkpoints
from jaxdet.training.restore import restore_params
from jaxdet.training.transfer import check_fits, copy_matching, init_from
from tests.training import toy


def wider_head(key):
    params = toy.init(key)
    return params | {"fc": {"kernel": np.zeros((5, 9), np.float32), "bias": params["fc"]["bias"] + 3}}


def test_copy_matching_names_the_layers_that_are_missing_and_the_leaves_that_do_not_fit():
    one, zero = functools.partial(np.ones, dtype=np.float32), functools.partial(np.zeros, dtype=np.float32)
    source = {"a": {"kernel": one((2, 3)), "bias": one(3)}, "old": {"bias": one(1)}}
    params = {"a": {"kernel": zero((2, 4)), "bias": zero(3)}, "new": {"bias": zero(1)}}
    copied, missing, skipped = copy_matching(source, params)
    assert missing == ["new"]
    assert skipped == ["a/kernel ([2, 3] for [2, 4])", "old/bias (no place for it)"]
    np.testing.assert_array_equal(copied["a"]["bias"], one(3))
    np.testing.assert_array_equal(copied["a"]["kernel"], zero((2, 4)))
    assert set(copied) == {"a", "new"}


def test_init_from_copies_a_checkpoint_except_its_head_of_another_size(tmp_path, caplog):
    tx, _ = toy.optimizer()
    state = toy.fresh_state(tx, sharding.data_mesh())
    Checkpoints(tmp_path, keep=1).save(state, {"val_map": 0.5})
    with caplog.at_level(logging.INFO):
        params = wider_head(jax.random.key(7)) | {"new": {"bias": np.zeros(2, np.float32)}}
        params = init_from(restore_params(tmp_path, "best"), params)
    assert "not in the weights to start from, so initialised at random: new\n" in caplog.text
    assert "left out fc/kernel ([5, 4] for [5, 9])" in caplog.text
    np.testing.assert_array_equal(params["conv"]["kernel"], state.trainable["conv/kernel"])
    np.testing.assert_array_equal(params["fc"]["bias"], np.zeros(4))
    assert params["fc"]["kernel"].shape == (5, 9)


def test_weights_that_do_not_fit_are_refused():
    source = {"conv": {"kernel": np.zeros((3, 3, 1, 1), np.float32)}, "other": {"bias": np.zeros(4, np.float32)}}
    fresh = toy.init(jax.random.key(0))
    with pytest.raises(InputError) as refused:
        init_from(source, fresh)
    assert str(refused.value) == (
        "the weights to start from must fit the net, got 0 of 1 kernels that do (conv/kernel is [3, 3, 1, 1], not "
        "[3, 5]); give net the width that they have, or start from others."
    )
    with pytest.raises(InputError, match=r"got 0 of 2 kernels that do \(old/kernel is \[5, 4\], not there\)"):
        check_fits({"old": fresh["fc"], "conv": {"kernel": np.zeros((3, 6))}}, fresh)
    with pytest.raises(InputError, match="got 0 of 0 kernels that do; give net the width"):
        check_fits({"fc": {"bias": np.zeros(4)}}, fresh)


def test_check_fits_needs_only_shapes():
    source = toy.init(jax.random.key(0))
    check_fits(source | {"fc": {"kernel": np.zeros((5, 9))}}, jax.eval_shape(toy.init, jax.random.key(0)))
