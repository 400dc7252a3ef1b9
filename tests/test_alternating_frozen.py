"""What training.frozen leaves each step of 4-step training to learn."""

import types

import jax.numpy as jnp
import pytest

from configs import faster_devkit_alternating
from jaxdet import alternating
from jaxdet.checks import InputError

LAYERS = ("conv1", "rpn_conv", "rpn_cls_score", "fc6", "fc7", "cls_score")


@pytest.fixture
def learned(monkeypatch, tmp_path):
    """frozen -> the layers that learn in each of the steps; nothing is trained."""
    detector = types.SimpleNamespace(init=lambda key: {layer: {"kernel": jnp.zeros(1)} for layer in LAYERS})
    dataset = types.SimpleNamespace(class_names=("a",))
    monkeypatch.setattr(alternating, "_detectors", lambda *_: (detector, detector))
    monkeypatch.setattr(alternating._Steps, "proposals", lambda *_: (None, None))
    monkeypatch.setattr(alternating, "fold_normalisation", lambda params, delta_std: params)
    monkeypatch.setattr(alternating, "save_params", lambda workdir, params, step: None)

    def run(*frozen):
        found = []

        def run_stage(*_, learns, **__):
            found.append({layer for layer in LAYERS if learns(f"{layer}/kernel")})
            return detector.init(None)

        monkeypatch.setattr(alternating, "run_stage", run_stage)
        config = faster_devkit_alternating.get_config()
        config.training.frozen = frozen
        alternating.train_alternating(config, tmp_path, dataset, None)
        return found

    return run


def test_what_is_frozen_learns_in_no_step(learned):
    head, rpn = {"fc6", "fc7", "cls_score"}, {"rpn_conv", "rpn_cls_score"}
    assert learned() == [{"conv1"} | rpn, {"conv1"} | head, rpn, head]
    frozen = {"conv1", "rpn_conv", "fc6"}
    assert learned(*frozen) == [rpn - frozen, head - frozen, rpn - frozen, head - frozen]


@pytest.mark.parametrize(("step", "frozen"), [(3, ("rpn_",)), (4, ("fc", "cls_score"))])
def test_a_step_must_have_something_to_learn(learned, step, frozen):
    with pytest.raises(InputError, match=rf"training.frozen must leave step {step} layers to learn \(.*\), got \('"):
        learned(*frozen)
