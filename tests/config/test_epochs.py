"""Epochs become steps, and the learning rate's boundaries keep their place."""

import dataclasses

import pytest

from configs import faster_shapes, faster_voc
from jaxdet.checks import InputError
from jaxdet.config.batch_rule import apply_batch_rule
from jaxdet.config.epochs import resolve_epochs
from jaxdet.config.fields import keywords
from jaxdet.config.parse import parse
from jaxdet.train import train
from jaxdet.training.optimizer import make_optimizer


def experiment(module, **training):
    parsed = parse(module.get_config().to_dict())
    return dataclasses.replace(parsed, training=dataclasses.replace(parsed.training, **training))


def test_epochs_become_steps(caplog):
    with caplog.at_level("INFO"):
        resolved = resolve_epochs(experiment(faster_shapes, epochs=2.5), batches_per_epoch=800)
    assert (resolved.training.steps, resolved.training.epochs, resolved.optim.boundaries) == (2000, 0.0, ())
    assert "training.epochs=2.5: 2000 steps of 2 images, 800 for each epoch, in place of training.steps=2200" in (
        caplog.text
    )
    assert resolve_epochs(resolved, batches_per_epoch=0) == resolved


def test_boundaries_move_in_proportion():
    whole = experiment(faster_voc)
    resolved = resolve_epochs(experiment(faster_voc, epochs=1.0), batches_per_epoch=whole.training.steps // 10)
    assert resolved.optim.boundaries == tuple(round(b / 10) for b in whole.optim.boundaries)


def test_boundaries_of_a_very_short_training_do_not_fall_together():
    whole = experiment(faster_voc, epochs=1.0)
    whole = dataclasses.replace(whole, optim=dataclasses.replace(whole.optim, boundaries=(50_000, 60_000)))
    resolved = resolve_epochs(whole, batches_per_epoch=2)
    assert (resolved.training.steps, resolved.optim.boundaries) == (2, (1, 2))
    make_optimizer(**keywords(resolved.optim), steps=2)


def test_the_batch_rule_leaves_the_number_of_epochs():
    by_rule = experiment(faster_shapes, epochs=3.0, batch_size=8, reference_batch_size=2)
    assert apply_batch_rule(resolve_epochs(by_rule, batches_per_epoch=200)).training.steps == 600


def test_steps_and_epochs_exclude_each_other(tmp_path):
    with pytest.raises(InputError, match=r"training.steps and training.epochs are both set; remove one of them\."):
        train(faster_shapes.get_config(), str(tmp_path), overridden=("training.epochs", "training.steps"))
