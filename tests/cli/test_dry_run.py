"""A dry run trains two steps, evaluates, and says what worked and how long the whole training takes."""

import json
from pathlib import Path

import pytest

from configs import faster_shapes, faster_voc_alternating, rcnn_voc
from jaxdet.checks import InputError
from jaxdet.cli import dry_run
from jaxdet.cli.overrides import override
from jaxdet.config.parse import parse


@pytest.fixture
def calls(monkeypatch):
    """Stand-ins for train and evaluate; returns what they were called with."""
    calls = []

    def train(config, workdir, *, overridden, images):
        parse(config.to_dict())
        calls.append(("train", config, workdir, images))
        Path(workdir).mkdir()
        line = {"split": "train", "time": {"images_per_second": 4.0}}
        (Path(workdir) / "metrics.jsonl").write_text(json.dumps(line))

    def evaluate(config, workdir, *, split, checkpoint, images):
        calls.append(("evaluate", split, workdir, images))

    monkeypatch.setattr(dry_run, "train", train)
    monkeypatch.setattr(dry_run, "evaluate", evaluate)
    return calls


def test_it_trains_two_steps_in_a_folder_that_is_removed_and_expects_a_time(calls, capsys):
    config = override(faster_shapes.get_config(), ["--config.training.steps=7200", "--config.training.patience=2"])
    dry_run.dry_run(config, overridden=())
    (_, short, workdir, images), evaluated = calls
    assert (short.training.steps, short.training.eval_every, short.training.patience, images) == (2, 2, 0, 16)
    assert evaluated == ("evaluate", "validation", workdir, 16)
    assert not Path(workdir).parent.exists()
    assert config.training.steps == 7200
    assert capsys.readouterr().out.splitlines() == [
        "dry run: 2 steps, saving, validation, evaluation of the validation split worked, on at most 16 images, "
        "in a folder that is removed",
        "expected: 7200 steps of 0.5 s, 1:00:00 altogether, without compilation and validation",
    ]


def test_the_batch_rule_and_epochs_are_part_of_the_expectation(calls, capsys):
    rule = ["--config.training.batch_size=8", "--config.training.reference_batch_size=2"]
    dry_run.dry_run(override(faster_shapes.get_config(), rule), overridden=())
    assert "expected: 550 steps of 2 s, 0:18:20 altogether" in capsys.readouterr().out
    dry_run.dry_run(override(faster_shapes.get_config(), ["--config.training.epochs=3"]), overridden=())
    assert "expected: 0.5 s per step of 2 images" in capsys.readouterr().out


@pytest.mark.parametrize("module", [faster_voc_alternating, rcnn_voc])
def test_a_training_in_stages_is_refused(module):
    with pytest.raises(InputError, match="--dry_run needs a training in one stage"):
        dry_run.dry_run(override(module.get_config(), []), overridden=())
