"""Every config builds, and the paper's has the paper's numbers."""

import importlib
import pathlib

import jax
import numpy as np
import pytest

from configs import faster_voc, faster_voc0712, faster_voc12_article, faster_zf_voc
from jaxdet import sections
from jaxdet.building import DATASETS, build_detector
from jaxdet.checks import bind
from jaxdet.data.pipeline import train_batches
from jaxdet.ops.anchors import base_anchors
from jaxdet.starting import settle
from jaxdet.training.optimizer import make_optimizer

NAMES = sorted(path.stem for path in (pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_config_fits_the_functions_it_is_for(name, tmp_path):
    config = importlib.import_module(f"configs.{name}").get_config()
    assert config.name == name
    if config.net.backbone != "vgg16":  # not published in a layout that is read
        (tmp_path / "converted.pth").touch()
        config.training.pretrained_file = config.training.pretrained and str(tmp_path / "converted.pth")
    config = settle(config, tmp_path)
    sections.check(config)
    if "stages" in config:
        config = sections.stage_config(config, "fast_rcnn")
    params = jax.eval_shape(build_detector(config, ("a", "b", "c")).init, jax.random.key(0))
    assert params["cls_score"]["bias"].shape == (4,)
    assert all(any(layer.startswith(frozen) for layer in params) for frozen in config.training.frozen)
    bind(make_optimizer, config.optim, section="optim", steps=config.training.steps)()
    bind(train_batches, config.input, section="input", batch_size=1, seed=0, start_step=0)
    fields = {field: value for field, value in config.dataset.items() if field != "kind"}
    split = {"shapes": {}, "devkit": {"splits": ()}, "voc": {"split": ""}}[config.dataset.kind]
    bind(DATASETS[config.dataset.kind], fields, section="dataset", **split)


# experiments/cfgs/faster_rcnn_end2end.yml, lib/fast_rcnn/config.py, the VGG16 end-to-end solver and train prototxt, and
# generate_anchors.py of py-faster-rcnn.
PY_FASTER_RCNN = {
    "seed": 3,  # RNG_SEED
    "splits.train": "2007/trainval",
    "splits.test": "2007/test",
    "input.short_side": 600,  # SCALES
    "input.long_side": 1000,  # MAX_SIZE
    "input.flip": True,  # USE_FLIPPED
    "input.use_difficult": False,  # use_diff
    "net.backbone": "vgg16",
    "net.width": 1.0,
    "net.head_features": 4096,
    "net.dropout": 0.5,
    "net.compute_dtype": "float32",
    "anchors.scales": (8.0, 16.0, 32.0),
    "anchors.ratios": (0.5, 1.0, 2.0),
    "anchors.convention": "caffe",
    "model.rpn_targets.positive_iou": 0.7,  # RPN_POSITIVE_OVERLAP
    "model.rpn_targets.negative_iou": 0.3,  # RPN_NEGATIVE_OVERLAP
    "model.rpn_targets.batch_size": 256,  # RPN_BATCHSIZE
    "model.rpn_targets.positive_fraction": 0.5,  # RPN_FG_FRACTION
    "model.cross_boundary_anchors": False,  # _allowed_border 0
    "model.train_proposals.pre_nms_top_n": 12000,
    "model.train_proposals.post_nms_top_n": 2000,
    "model.train_proposals.nms_iou": 0.7,
    "model.test_proposals.pre_nms_top_n": 6000,
    "model.test_proposals.post_nms_top_n": 300,
    "model.test_proposals.nms_iou": 0.7,
    "model.min_proposal_size": 16.0,  # RPN_MIN_SIZE, times the image's scale
    "model.max_log_scale": None,
    "model.roi_targets.batch_size": 128,  # BATCH_SIZE
    "model.roi_targets.positive_fraction": 0.25,  # FG_FRACTION
    "model.roi_targets.positive_iou": 0.5,  # FG_THRESH
    "model.roi_targets.negative_iou": (0.0, 0.5),  # BG_THRESH_LO, BG_THRESH_HI
    "model.roi_targets.add_ground_truth": True,
    "model.delta_std": (0.1, 0.1, 0.2, 0.2),  # BBOX_NORMALIZE_STDS
    "model.rpn_sigma": 3.0,
    "model.rpn_box_weight": 1.0,
    "model.rpn_box_normaliser": "sampled",
    "model.roi_sigma": 1.0,
    "model.roi_pooling": "max_pool",
    "model.detections.score_threshold": 0.05,
    "model.detections.nms_iou": 0.3,
    "model.detections.max_detections": 100,
    "optim.name": "sgd",
    "optim.learning_rate": 1e-3,
    "optim.schedule": "step",
    "optim.boundaries": (50_000,),
    "optim.decay": 0.1,
    "optim.final_learning_rate": 0.0,  # of a cosine: unread here
    "optim.warmup_steps": 0,
    "optim.momentum": 0.9,
    "optim.weight_decay": 5e-4,
    "optim.decay_biases": True,  # no decay_mult on biases
    "optim.bias_learning_rate_factor": 2.0,  # lr_mult
    "optim.clip_norm": None,
    "training.steps": 70_000,
    "training.batch_size": 2,  # iter_size 2 of one image
    "training.accumulate": 2,
    "training.frozen": ("conv1_", "conv2_"),
    "training.pretrained": "caffe",
    "training.pretrained_file": "",
    "training.init_from": "",
    "training.eval_every": 0,  # nothing is left to validate on
}

# Where things lie, how fast they are read, how often something is saved or drawn: nothing to reproduce. The net's
# normalisation and pooling are settled by its weights.
NOT_IN_PY_FASTER_RCNN = {
    "system",
    "evaluation.detections_per_class",
    "evaluation.svd_ranks",
    "name",
    *(f"dataset.{field}" for field in ("kind", "data_dir", "archives", "mirror", "devkit")),
    "splits.validation",
    "input.max_gt",
    "input.workers",
    "net.normalisation",
    "net.pooling",
    "training.log_every",
    "training.checkpoint_every",
    "training.keep",
    "evaluation.batch_size",
    "evaluation.pictures",
}


def test_faster_voc_has_py_faster_rcnns_numbers(tmp_path):
    config = faster_voc.get_config()
    fields = dict(flat(config.to_dict()))
    assert {name: fields[name] for name in PY_FASTER_RCNN} == PY_FASTER_RCNN
    assert fields.keys() - PY_FASTER_RCNN.keys() == NOT_IN_PY_FASTER_RCNN
    settled = settle(config, tmp_path)
    assert (settled.net.normalisation, settled.net.pooling) == ("caffe", "ceil")


def test_the_articles_recipe():
    config = faster_voc12_article.get_config()
    assert config.splits.to_dict() == {"train": "2012/trainval", "validation": "", "test": "2007/test"}
    proposals = config.model.train_proposals, config.model.test_proposals
    assert [(p.pre_nms_top_n, p.post_nms_top_n, p.nms_iou) for p in proposals] == [(6000, 2000, 0.7), (6000, 300, 0.7)]
    assert (config.model.rpn_box_weight, config.model.rpn_box_normaliser) == (10, "locations")
    assert config.model.roi_pooling == "align"
    assert (config.optim.learning_rate, config.optim.final_learning_rate, config.optim.schedule) == (
        1e-3,
        1e-5,
        "cosine",
    )
    assert config.optim.bias_learning_rate_factor == 1
    assert (config.training.steps, config.training.batch_size) == (600_000, 1)
    boxes = base_anchors(**config.anchors, stride=16)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    np.testing.assert_allclose(np.sqrt(areas), np.tile([128, 256, 512], 3), rtol=0.01)


def test_0712_is_the_same_longer_on_more_images():
    ours, papers = (dict(flat(module.get_config().to_dict())) for module in (faster_voc0712, faster_voc))
    changed = {name: value for name, value in ours.items() if value != papers[name]}
    assert changed == {
        "name": "faster_voc0712",
        "splits.train": "2007/trainval+2012/trainval",
        "optim.boundaries": (80_000,),
        "training.steps": 110_000,
    }


def test_zf_is_the_same_with_nothing_frozen():
    """py-faster-rcnn's ZF solver has VGG16's numbers; its train.prototxt has no lr_mult 0."""
    ours, vgg16s = (dict(flat(module.get_config().to_dict())) for module in (faster_zf_voc, faster_voc))
    changed = {name: value for name, value in ours.items() if value != vgg16s[name]}
    assert changed == {"name": "faster_zf_voc", "net.backbone": "zf", "training.frozen": ()}


def flat(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
