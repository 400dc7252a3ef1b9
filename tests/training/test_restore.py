import dataclasses

import jax
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.training.checkpoints import Checkpoints
from jaxdet.training.restore import (
    best_step,
    check_whole,
    find_checkpoint,
    finished_params,
    has_checkpoint,
    restore_params,
)
from jaxdet.training.state import flatten
from tests.training.damage import drop_manifest, flip_bit


@pytest.mark.parametrize(("step", "expected"), [(None, 3), ("best", 2), (1, 1)])
def test_restore_params_needs_no_optimiser(tmp_path, states, step, expected, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "run", keep=3)
    for number, score in ((1, 0.1), (2, 0.4), (3, 0.2)):
        checkpoints.save(states[number], {"val_map": score})
    monkeypatch.chdir(tmp_path)
    params = restore_params("run", step)
    jax.tree.map(np.testing.assert_array_equal, flatten(params), states[expected].trainable | states[expected].frozen)
    assert isinstance(params["fc"]["kernel"], np.ndarray)
    assert restore_params(f"run/checkpoints/{expected}").keys() == params.keys()


def test_an_unknown_step_is_refused_with_the_saved_ones(saved):
    with pytest.raises(InputError, match=r"must be one of \[1, 2, 3\] .*, .best. or .last.; got 9"):
        restore_params(saved, 9)


def test_only_a_finished_save_counts_as_a_checkpoint(saved, tmp_path):
    assert has_checkpoint(saved)
    (tmp_path / "other" / "checkpoints" / "5").mkdir(parents=True)  # an interrupted save
    assert not has_checkpoint(tmp_path / "other")
    assert not has_checkpoint(tmp_path / "nowhere")


def test_best_step_is_the_first_of_equal_scores(tmp_path, states):
    assert best_step(tmp_path) is None
    checkpoints = Checkpoints(tmp_path, keep=4)
    for step, score in ((1, None), (2, 0.5), (3, 0.5), (4, 0.1)):
        checkpoints.save(states[step], {"val_map": score})
    assert best_step(tmp_path) == 2


def test_a_checkpoint_outside_its_workdir_is_found(saved, tmp_path):
    moved = (saved / "checkpoints" / "2").rename(tmp_path / "moved")
    assert find_checkpoint(moved) == moved
    assert restore_params(moved).keys() == {"conv", "fc"}


def test_finished_params_are_those_of_a_run_that_ended(saved, states):
    assert finished_params(saved, steps=4) is None
    params = flatten(finished_params(saved, steps=3))
    jax.tree.map(np.testing.assert_array_equal, params, states[3].trainable | states[3].frozen)
    Checkpoints(saved, keep=3).save(states[3], {"evaluation_due": True})  # stopped during its last validation
    assert finished_params(saved, steps=3) is None
    Checkpoints(saved, keep=3).save(states[3], {"evaluation_due": False})
    flip_bit(saved / "checkpoints" / "3")
    assert finished_params(saved, steps=3) is None


def test_a_broken_checkpoint_is_refused(saved):
    flip_bit(saved / "checkpoints" / "3")
    with pytest.raises(
        InputError, match="must be whole, got 1 file.* changed.*choose another step, as in --checkpoint=2"
    ):
        restore_params(saved)


@pytest.fixture
def scored(tmp_path, states):
    """Workdir with checkpoints 1 to 3, the first of them the best."""
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step, score in ((1, 0.9), (2, 0.4), (3, 0.2)):
        checkpoints.save(states[step], {"val_map": score})
    return tmp_path


def test_a_best_checkpoint_whose_manifest_changed_is_named_with_what_is_read_instead(scored, caplog):
    path = scored / "checkpoints" / "1" / "manifest.json"
    path.write_text(path.read_text().replace("0.9", "0.1"))
    assert find_checkpoint(scored, "best").name == "2"
    assert f"{path.parent} is not considered: manifest.json changed; reading step 2" in caplog.text


@pytest.mark.parametrize(("damaged", "read", "step"), [(3, "2", None), (1, "2", "best")])
def test_a_checkpoint_that_lost_its_manifest_is_named_with_what_is_read_instead(scored, caplog, damaged, read, step):
    drop_manifest(scored / "checkpoints" / str(damaged))
    assert find_checkpoint(scored, step).name == read
    assert f"{damaged} is not considered: manifest.json missing" in caplog.text
    assert f"reading step {read}" in caplog.text


def test_an_older_broken_checkpoint_does_not_concern_the_last(scored, caplog):
    drop_manifest(scored / "checkpoints" / "1")
    assert find_checkpoint(scored).name == "3"
    assert not caplog.text


def test_a_step_beside_the_checkpoint_of_another_is_refused(scored):
    assert find_checkpoint(scored / "checkpoints" / "2", "2").name == "2"
    with pytest.raises(InputError, match="step must be that of the checkpoint .*/2, got 3; give its workdir"):
        find_checkpoint(scored / "checkpoints" / "2", "3")


def test_the_broken_checkpoint_of_a_finished_training_in_stages_is_refused(saved):
    check_whole(saved)
    flip_bit(saved / "checkpoints" / "3")
    with pytest.raises(InputError, match="3 must be whole, got 1 file.* changed.*remove it to make it again"):
        check_whole(saved)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_named(tmp_path, states, value):
    leaf = states[1].trainable["fc/kernel"]
    poisoned = dataclasses.replace(states[1], trainable=states[1].trainable | {"fc/kernel": leaf.at[0, 0].set(value)})
    Checkpoints(tmp_path, keep=1).save(poisoned, {})
    with pytest.raises(InputError, match="must be finite, got fc/kernel with 1 values that are not .1 such arrays"):
        restore_params(tmp_path)
