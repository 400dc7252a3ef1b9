import os
import signal

import numpy as np
import pytest

from jaxdet.training import loop
from jaxdet.training.recorder import TrainingError
from jaxdet.training.restore import restore_params
from tests.scripts import assert_same_run, is_saving, read_metrics
from tests.training import toy


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    toy.train(workdir)
    return workdir


def test_a_run_writes_its_metrics_and_checkpoints(uninterrupted, tmp_path, capsys):
    state = toy.train(tmp_path)
    assert int(state.step) == 20
    np.testing.assert_array_equal(state.trainable["fc/kernel"], restore_params(tmp_path)["fc"]["kernel"])
    assert_same_run(tmp_path, uninterrupted)
    lines = read_metrics(tmp_path)
    assert [line["step"] for line in lines if line["split"] == "train"] == [3, 6, 9, 12, 15, 18, 20]
    assert [line["step"] for line in lines if line["split"] == "val"] == [5, 10, 15, 20]
    assert {"loss", "box", "grad_norm", "learning_rate"} < lines[0].keys()
    assert {line["stage"] for line in lines} == {"toy"}
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["18", "20"]
    assert capsys.readouterr().out.count("compiled") == 1


def test_a_finished_run_takes_no_more_steps(tmp_path, capsys):
    first = toy.train(tmp_path, steps=3)
    capsys.readouterr()
    again = toy.train(tmp_path, steps=3)
    np.testing.assert_array_equal(again.trainable["fc/kernel"], first.trainable["fc/kernel"])
    printed = capsys.readouterr().out
    assert "resuming from the checkpoint of step 3, the last: nothing is left to train" in printed
    assert "compiled" not in printed


def test_a_run_killed_several_times_equals_one_never_interrupted(scripts, tmp_path_factory, tmp_path):
    command = "tests/training/toy.py", str(tmp_path), "--pause=0.05"
    # Not the fixture: these processes compile without optimisation, which rounds differently.
    uninterrupted = tmp_path_factory.mktemp("uninterrupted_script")
    scripts.run(command[0], str(uninterrupted))

    def stopped(number, moment):
        script = scripts.start(*command)
        script.wait_until(lambda: (tmp_path / "metrics.jsonl").exists() and moment())
        script.kill(number)
        return script.wait()

    stopped(signal.SIGKILL, lambda: is_saving(tmp_path))
    code, printed = stopped(signal.SIGTERM, lambda: len(read_metrics(tmp_path)) >= 2)
    assert code == 128 + signal.SIGTERM
    assert "stopped by SIGTERM, step" in printed
    stopped(signal.SIGKILL, lambda: len(read_metrics(tmp_path)) >= 5)
    printed = scripts.run(*command)
    assert "resuming from the checkpoint of step" in printed
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.parametrize("at", [5, 7, 20])
def test_ctrl_c_saves_the_step(uninterrupted, tmp_path, at):
    def interrupted_batches(start):
        for step in range(start + 1, 21):
            if step == at:
                signal.raise_signal(signal.SIGINT)
            yield toy.batch(step)

    with pytest.raises(SystemExit) as stopped:
        toy.train(tmp_path, batches=interrupted_batches)
    assert stopped.value.code == 128 + signal.SIGINT
    assert (tmp_path / "checkpoints" / str(at)).exists()
    toy.train(tmp_path)
    assert_same_run(tmp_path, uninterrupted)


def test_a_signal_while_compiling_stops_at_once_with_nothing_to_save(tmp_path, monkeypatch, capsys):
    def compile_steps(*_, **__):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("must be interrupted before")

    monkeypatch.setattr(loop, "compile_steps", compile_steps)
    with pytest.raises(SystemExit) as stopped:
        toy.train(tmp_path)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert "toy: stopped by SIGTERM, before step 1; run the same command again to resume" in capsys.readouterr().out
    assert not list((tmp_path / "checkpoints").iterdir())


def test_an_interrupted_validation_is_repeated_after_the_restart(uninterrupted, tmp_path):
    def interrupted_evaluation(params, step):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("must be interrupted before")

    with pytest.raises(SystemExit) as stopped:
        toy.train(tmp_path, evaluate=interrupted_evaluation)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert [line["split"] for line in read_metrics(tmp_path)] == ["train"]
    toy.train(tmp_path)
    assert_same_run(tmp_path, uninterrupted)


def test_the_first_step_with_nan_stops_the_run_and_is_not_saved(tmp_path):
    images = ", ".join(toy.NAMES[i] for i in toy.batch(8).image_id)
    with pytest.raises(TrainingError, match=rf"loss is nan.* at step 8 \(images {images};"):
        toy.train(tmp_path, nan_at=8)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["5", "6"]


def falling(params, step):
    return {"val_loss": 1.0, "val_map": 1 / step}


def test_patience_ends_the_stage_after_validations_without_improvement(tmp_path, capsys):
    state = toy.train(tmp_path, evaluate=falling, patience=2)  # best at step 5
    assert int(state.step) == 15
    assert "ended early at step 15: val_map has not risen above 0.2 for 2 validations" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["12", "15", "5"]
    again = toy.train(tmp_path, evaluate=falling, patience=2)
    assert int(again.step) == 15
    assert "compiled" not in capsys.readouterr().out
    assert int(toy.train(tmp_path, evaluate=falling, patience=3).step) == 20  # it was the last step that would count


def test_patience_counts_on_after_a_resume(tmp_path):
    def stopping(params, step):
        if step == 10:
            os.kill(os.getpid(), signal.SIGTERM)
        return falling(params, step)

    with pytest.raises(SystemExit):
        toy.train(tmp_path, evaluate=stopping, patience=2)
    assert int(toy.train(tmp_path, evaluate=falling, patience=2).step) == 15


def test_a_run_out_of_time_saves_its_step_and_ends_well(uninterrupted, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        toy.train(tmp_path, deadline=0.0)
    assert end.value.code == 0
    assert "training.max_hours is over, step 1 saved; run the same command again" in capsys.readouterr().out
    toy.train(tmp_path)
    assert_same_run(tmp_path, uninterrupted)
