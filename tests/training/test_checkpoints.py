import logging
import shutil

import jax
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.training import sharding
from jaxdet.training.checkpoints import Checkpoints, save_params
from jaxdet.training.restore import best_step, has_checkpoint, restore_params
from tests.training import toy
from tests.training.damage import drop_manifest, flip_bit, flip_bit_of_manifest, half_delete


def steps(workdir):
    return sorted(path.name for path in (workdir / "checkpoints").iterdir())


def assert_equal(state, expected):
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, state, expected)


def test_restore_returns_the_saved_state_and_metadata(saved, states):
    state, metadata = Checkpoints(saved, keep=3).restore(states[4])
    assert_equal(state, states[3])
    assert metadata == {"from": 3}


def test_restore_without_checkpoints_returns_none(tmp_path, states):
    assert Checkpoints(tmp_path, keep=1).restore(states[1]) is None
    with pytest.raises(InputError, match="must hold checkpoints, got none"):
        restore_params(tmp_path)


def test_the_newest_and_the_best_checkpoint_are_kept(tmp_path, states):
    checkpoints = Checkpoints(tmp_path, keep=1)
    assert checkpoints.best_score() is None
    for step, score in ((1, 0.3), (2, 0.5), (3, None), (4, 0.5)):
        checkpoints.save(states[step], {"val_map": score})
    assert steps(tmp_path) == ["2", "4"]
    assert best_step(tmp_path) == 2
    assert checkpoints.best_score() == 0.5


def test_save_params_writes_a_checkpoint(tmp_path):
    """As after several stages, with arrays that only R-CNN has."""
    params = {"fc7": {"kernel": np.ones((2, 3), np.float32)}, "svm": {"bias": np.arange(2, dtype=np.float32)}}
    assert not has_checkpoint(tmp_path)
    save_params(tmp_path, params, step=12)
    assert has_checkpoint(tmp_path)
    assert steps(tmp_path) == ["12"]
    for step in (None, "best", 12):
        assert_equal(restore_params(tmp_path, step), params)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/checkpoints must be writable, got a file in its place"):
        save_params(tmp_path / "file", params, step=12)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_bit, "is broken (1 file(s) changed"),
        (flip_bit_of_manifest, "manifest.json changed"),
        (half_delete, "file(s) missing"),
        (drop_manifest, "incomplete"),
    ],
)
def test_a_broken_newest_checkpoint_is_reported_and_the_one_before_is_taken(saved, states, damage, message, caplog):
    damage(saved / "checkpoints" / "3")
    with caplog.at_level(logging.WARNING):
        checkpoints = Checkpoints(saved, keep=1)
        state, metadata = checkpoints.restore(states[4])
    assert_equal(state, states[2])
    assert metadata == {"from": 2}
    assert message in caplog.text
    assert str(saved / "checkpoints" / "3") in caplog.text
    checkpoints.save(states[3], {})  # the broken one was removed
    assert steps(saved) == ["3"]
    assert_equal(checkpoints.restore(states[4])[0], states[3])


def test_only_broken_checkpoints_are_refused_and_not_removed(saved, states):
    for step in ("1", "2", "3"):
        flip_bit(saved / "checkpoints" / step)
    with pytest.raises(InputError, match="got only broken ones"):
        Checkpoints(saved, keep=3).restore(states[4])
    assert steps(saved) == ["1", "2", "3"]


def test_incomplete_checkpoints_are_removed(saved, states):
    (saved / "checkpoints" / "4.orbax-checkpoint-tmp" / "params").mkdir(parents=True)
    (saved / "checkpoints" / "5").mkdir()
    Checkpoints(saved, keep=3)
    assert steps(saved) == ["1", "2", "3"]


def test_other_files_are_not_touched(saved, states):
    for name in (".DS_Store", "notes.txt", "2024.txt"):
        (saved / "checkpoints" / name).touch()
    (saved / "checkpoints" / ".snapshot").mkdir()
    state, _ = Checkpoints(saved, keep=3).restore(states[4])
    assert_equal(state, states[3])
    assert steps(saved) == [".DS_Store", ".snapshot", "1", "2", "2024.txt", "3", "notes.txt"]


def test_the_checkpoint_of_another_model_is_refused(saved, states):
    other = jax.tree.map(lambda leaf: np.zeros((*leaf.shape, 2), leaf.dtype), states[1])
    with pytest.raises(InputError, match=r"must hold this model and optimiser, .*float32\[5\] saved, float32\[5, 2\]"):
        Checkpoints(saved, keep=3).restore(other)


def test_the_checkpoint_of_another_optimiser_is_refused(saved, states):
    tx, _ = toy.optimizer(name="adamw")
    other = toy.fresh_state(tx, sharding.data_mesh(), lambda path: path != "conv/bias")
    with pytest.raises(InputError, match="must hold this model and optimiser"):
        Checkpoints(saved, keep=3).restore(other)


def test_a_disk_that_is_too_small_is_refused_before_training(tmp_path, states, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.check_space(states[1])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 500, 500))
    with pytest.raises(InputError, match="must have room for"):
        checkpoints.check_space(states[1])


FULL_DISK = """
import dataclasses, resource, sys
from jaxdet.checks import InputError
from jaxdet.training import sharding
from jaxdet.training.checkpoints import Checkpoints
from tests.training import toy
checkpoints = Checkpoints(sys.argv[1], keep=1)
tx, _ = toy.optimizer()
state = toy.fresh_state(tx, sharding.data_mesh())
checkpoints.save(state, {})
later = dataclasses.replace(state, step=state.step + 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))  # writing more fails, as on a full disk
for unsaved in (later, state):  # a new step; only the metadata of a saved one
    try:
        checkpoints.save(unsaved, {"val_map": 0.25})
    except InputError as error:
        assert "must be written, got" in str(error) and "make room" in str(error), error
        assert "\\n" not in str(error)
    else:
        sys.exit("it was saved")
    assert [path.name for path in checkpoints.folder.iterdir()] == ["0"]  # whole, and no draft takes room
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert int(checkpoints.restore(later)[0].step) == 0
checkpoints.save(later, {})
sys.exit(7)
"""


def test_a_disk_that_fills_up_while_saving_is_an_input_error(scripts, tmp_path):
    scripts.start_code(FULL_DISK, str(tmp_path)).end(code=7)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "checkpoints").touch()
    with pytest.raises(InputError, match="must be writable, got a file in its place"):
        Checkpoints(tmp_path, keep=1)


def test_saving_a_step_again_replaces_its_metadata(saved, states):
    checkpoints = Checkpoints(saved, keep=3)
    checkpoints.save(states[3], {"val_map": 0.25})
    state, metadata = checkpoints.restore(states[4])
    assert metadata == {"val_map": 0.25}
    assert_equal(state, states[3])


def test_an_unknown_best_score_is_said_and_its_checkpoint_is_set_aside(tmp_path, states, caplog):
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step, score in ((1, 0.9), (2, 0.1), (3, 0.2)):
        checkpoints.save(states[step], {"val_map": score})
    assert steps(tmp_path) == ["1", "3"]
    manifest = tmp_path / "checkpoints" / "1" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("0.9", "0.8"))
    state, _ = Checkpoints(tmp_path, keep=1).restore(states[4])
    assert_equal(state, states[3])
    assert f"{manifest.parent} has a broken manifest.json" in caplog.text and "renamed to 1.broken" in caplog.text
    assert steps(tmp_path) == ["1.broken", "3"]
    Checkpoints(tmp_path, keep=1).save(states[4], {})
    assert steps(tmp_path) == ["1.broken", "3", "4"]


@pytest.mark.parametrize("damage", [drop_manifest, lambda folder: (folder / "manifest.json").write_text("{")])
def test_a_manifest_damaged_while_training_is_no_reason_to_remove_its_checkpoint(tmp_path, states, caplog, damage):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(states[1], {"val_map": 0.9})
    damage(tmp_path / "checkpoints" / "1")
    checkpoints.save(states[2], {})
    assert "checkpoints/1 has a broken manifest.json" in caplog.text
    assert steps(tmp_path) == ["1.broken", "2"]


def test_lost_manifests_do_not_remove_checkpoints_nor_start_again(saved, states):
    for step in ("1", "2", "3"):
        drop_manifest(saved / "checkpoints" / step)
    with pytest.raises(InputError, match="got only broken ones"):
        Checkpoints(saved, keep=3).restore(states[4])
    assert steps(saved) == ["1", "2"]  # the newest looks like an interrupted save


def test_what_an_interrupted_removal_leaves_is_removed(saved, states, caplog):
    (saved / "checkpoints" / "1").rename(saved / "checkpoints" / "1.removed")
    Checkpoints(saved, keep=3)
    assert steps(saved) == ["2", "3"]
    assert "removing" in caplog.text and "1.removed: incomplete" in caplog.text


def replace_by_a_file(folder):
    shutil.rmtree(folder)
    folder.touch()


def replace_by_another(folder):
    folder.rename(folder.with_name("moved"))
    folder.mkdir()


@pytest.mark.parametrize("remove", [shutil.rmtree, replace_by_a_file, replace_by_another])
@pytest.mark.parametrize("removed", ["run", "run/checkpoints"])
def test_a_folder_removed_while_training_is_named_and_not_made_again(tmp_path, states, remove, removed):
    checkpoints = Checkpoints(tmp_path / "run", keep=1)
    checkpoints.save(states[1], {})
    remove(tmp_path / removed)
    left = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="run/checkpoints must stay in place while training, got it removed or repl"):
        checkpoints.save(states[2], {})
    assert sorted(tmp_path.rglob("*")) == left


def test_a_folder_removed_while_saving_is_named(tmp_path, states, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=1)

    def removed(*_, **__):
        shutil.rmtree(tmp_path / "checkpoints")
        raise ValueError("NOT_FOUND: a file\nand where")

    monkeypatch.setattr(checkpoints._orbax, "save", removed)
    with pytest.raises(InputError, match="must stay in place"):
        checkpoints.save(states[1], {})
