"""Every config builds, and the paper's has the paper's numbers."""

import importlib
import pathlib

import jax
import pytest

from configs import faster_voc
from jaxdet import sections
from jaxdet.checks import bind
from jaxdet.data.pipeline import train_batches
from jaxdet.experiment import DATASETS, build_detector
from jaxdet.training.optimizer import make_optimizer

NAMES = sorted(path.stem for path in (pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_config_fits_the_functions_it_is_for(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    assert config.name == name
    sections.check(config)
    params = jax.eval_shape(build_detector(config, ("a", "b", "c")).init, jax.random.key(0))
    assert params["cls_score"]["bias"].shape == (4,)
    assert all(any(layer.startswith(frozen) for layer in params) for frozen in config.training.frozen)
    bind(make_optimizer, config.optim, section="optim", steps=config.training.steps)()
    bind(train_batches, config.input, section="input", batch_size=1, seed=0, start_step=0)
    fields = {field: value for field, value in config.dataset.items() if field != "kind"}
    bind(DATASETS[config.dataset.kind], fields, section="dataset", **({} if "train" in fields else {"splits": ()}))


def test_faster_voc_has_py_faster_rcnns_numbers():
    """From experiments/cfgs/faster_rcnn_end2end.yml, lib/fast_rcnn/config.py and the VGG16 solver of that project."""
    config = faster_voc.get_config()
    assert (config.input.short_side, config.input.long_side) == (600, 1000)
    assert (config.model.train_proposals.pre_nms_top_n, config.model.train_proposals.post_nms_top_n) == (12000, 2000)
    assert (config.model.test_proposals.pre_nms_top_n, config.model.test_proposals.post_nms_top_n) == (6000, 300)
    assert config.model.min_proposal_size == 16
    assert (config.model.rpn_targets.batch_size, config.model.roi_targets.batch_size) == (256, 128)
    assert config.model.roi_targets.negative_iou == (0.0, 0.5)
    assert (config.optim.learning_rate, config.optim.boundaries, config.training.steps) == (1e-3, (50_000,), 70_000)
    assert (config.optim.momentum, config.optim.weight_decay, config.optim.decay_biases) == (0.9, 5e-4, True)
    assert config.optim.bias_learning_rate_factor == 2
    assert (config.training.batch_size, config.training.accumulate) == (2, 2)
    assert config.splits.to_dict() == {"train": "trainval", "validation": "", "test": "test"}
