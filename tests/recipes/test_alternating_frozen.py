"""Layers that train in each step of 4-step training, with training.frozen."""

import types

import jax.numpy as jnp
import pytest

from configs import faster_devkit_alternating
from jaxdet.checks import InputError
from jaxdet.config.parse import parse
from jaxdet.recipes import alternating

LAYERS = ("conv1", "rpn_conv", "rpn_cls_score", "fc6", "fc7", "cls_score")


@pytest.fixture
def trained_layers(monkeypatch, tmp_path):
    """Return the function: frozen -> the trainable layers of each step. Nothing is trained."""
    detector = types.SimpleNamespace(init=lambda key: {layer: {"kernel": jnp.zeros(1)} for layer in LAYERS})
    split = types.SimpleNamespace(dataset=types.SimpleNamespace(class_names=("a",)))
    monkeypatch.setattr(alternating, "build_alternating", lambda *_: (detector, detector))
    monkeypatch.setattr(alternating.AlternatingTraining, "_proposals", lambda *_: (None, None))
    monkeypatch.setattr(alternating, "fold_target_statistics", lambda params, delta_std: params)
    monkeypatch.setattr(alternating, "save_params", lambda workdir, params, step: None)

    def run(*frozen):
        trained = []

        def run_stage(stage, *_, **__):
            trained.append({layer for layer in LAYERS if stage.trainable(f"{layer}/kernel")})
            return detector.init(None)

        monkeypatch.setattr(alternating, "run_stage", run_stage)
        config = faster_devkit_alternating.get_config()
        config.training.frozen = frozen
        alternating.AlternatingTraining(parse(config.to_dict()), tmp_path, split).run(None)
        return trained

    return run


def test_frozen_layers_train_in_no_step(trained_layers):
    head, rpn = {"fc6", "fc7", "cls_score"}, {"rpn_conv", "rpn_cls_score"}
    assert trained_layers() == [{"conv1"} | rpn, {"conv1"} | head, rpn, head]
    frozen = {"conv1", "rpn_conv", "fc6"}
    assert trained_layers(*frozen) == [rpn - frozen, head - frozen, rpn - frozen, head - frozen]


@pytest.mark.parametrize(("step", "frozen"), [(3, ("rpn_",)), (4, ("fc", "cls_score"))])
def test_each_step_needs_trainable_layers(trained_layers, step, frozen):
    with pytest.raises(InputError, match=rf"training.frozen must leave step {step} layers to train \(.*\), got \('"):
        trained_layers(*frozen)
