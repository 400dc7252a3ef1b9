import numpy as np
import pytest

from configs import faster_voc, faster_voc_accelerator
from jaxdet.config.batch_rule import apply_batch_rule
from jaxdet.config.parse import parse


def scaled(config, **changes):
    config.update_from_flattened_dict(changes)
    return apply_batch_rule(parse(config.to_dict()))


def test_rates_grow_and_lengths_shrink_with_the_batch():
    changes = {"training.reference_batch_size": 2, "training.batch_size": 16, "training.accumulate": 1}
    changes |= {"optim.final_learning_rate": 1e-5, "optim.warmup_steps": 100}
    experiment = scaled(faster_voc.get_config(), **changes)
    optim, training = experiment.optim, experiment.training
    np.testing.assert_allclose([optim.learning_rate, optim.final_learning_rate], [8e-3, 8e-5])
    assert (training.steps, optim.boundaries, optim.warmup_steps) == (8_750, (6_250,), 100)


def test_the_rule_is_off_by_default():
    experiment = parse(faster_voc.get_config().to_dict())
    assert experiment.training.reference_batch_size == 0
    assert apply_batch_rule(experiment) is experiment


def test_the_rule_is_applied_once():
    config = faster_voc_accelerator.get_config()
    experiment = scaled(config)
    assert apply_batch_rule(experiment) == experiment


@pytest.mark.parametrize(("images", "rate", "steps"), [(2, 1e-3, 70_000), (8, 4e-3, 17_500), (64, 0.032, 2_188)])
def test_the_config_for_accelerators_is_the_papers_at_its_batch_size(images, rate, steps):
    experiment = scaled(faster_voc_accelerator.get_config(), **{"training.batch_size": images})
    assert experiment.training.steps == steps
    np.testing.assert_allclose(experiment.optim.learning_rate, rate)
