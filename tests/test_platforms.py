"""The train step and detection lower to StableHLO for every platform, present or not."""

import dataclasses
import functools
import importlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jaxdet.config.fields import keywords
from jaxdet.config.parse import parse
from jaxdet.systems import SYSTEMS, build_detector
from jaxdet.training import state
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.sharding import data_mesh
from jaxdet.training.step import make_train_step
from jaxdet.types import Batch

BATCH = Batch(
    image=np.zeros((2, 96, 128, 3), np.uint8),
    image_size=np.zeros((2, 2), np.float32),
    scale=np.ones(2, np.float32),
    image_id=np.zeros(2, np.int32),
    image_valid=np.ones(2, bool),
    gt_boxes=np.zeros((2, 4, 4), np.float32),
    gt_labels=np.zeros((2, 4), np.int32),
    gt_valid=np.zeros((2, 4), bool),
    proposals=np.zeros((2, 0, 4), np.float32),
    proposals_valid=np.zeros((2, 0), bool),
)
WITH_PROPOSALS = dataclasses.replace(
    BATCH, proposals=np.zeros((2, 8, 4), np.float32), proposals_valid=np.ones((2, 8), bool)
)


@functools.cache  # each function is traced once and lowered three times
def train_step_and_detection(name, compute_dtype):
    """Return the two jitted functions of a config on a narrow net, each with the shapes of its arguments."""
    config = importlib.import_module(f"configs.{name}").get_config()
    config.net.update({"width": 1 / 16, "head_features": 16, "compute_dtype": compute_dtype})
    filled = {"preprocessing": "caffe", "pool_rounding": "ceil", "dropout_scaling": "train"}
    config.net.update({name: value for name, value in filled.items() if name in config.net})
    if config.system == "rcnn":
        config.head.scoring = "softmax"  # what it trains by; SVMs are fitted later
    experiment = parse(config.to_dict())
    detector = build_detector(experiment, ("cat", "dog"))
    tx, schedule = make_optimizer(**keywords(experiment.optim), steps=10)

    def init(key):
        frozen = tuple(config.training.frozen)
        return state.create(detector.init(key), tx, key, trainable=lambda path: not path.startswith(frozen))

    step = make_train_step(detector.loss, tx, data_mesh(), accumulate=config.training.accumulate)
    key = jax.random.key(0)
    trained, params = jax.eval_shape(init, key), jax.eval_shape(detector.init, key)
    batch = WITH_PROPOSALS if SYSTEMS[experiment.system].needs_proposals else BATCH
    return (step, (trained, batch, schedule(0))), (jax.jit(detector.predict), (params, batch))


NETS = ("faster_voc", "float32"), ("faster_voc", "bfloat16"), ("faster_shapes", "bfloat16")
CASES = [(*net, platform) for platform in ("tpu", "cuda", "cpu") for net in NETS]
CASES += [("coco_resnet50_fpn", "bfloat16", "tpu"), ("coco_resnet50_fpn", "bfloat16", "cuda")]
CASES += [("fast_voc", "bfloat16", "cuda"), ("rcnn_voc", "bfloat16", "cuda")]


@pytest.mark.parametrize(("name", "compute_dtype", "platform"), CASES)
def test_the_train_step_and_detection_lower(name, compute_dtype, platform):
    adam = name == "faster_shapes"  # optax's Adam raises a float to an integer power
    with jax.numpy_dtype_promotion("standard" if adam else "strict"):
        for function, arguments in train_step_and_detection(name, compute_dtype):
            lowered = export.export(function, platforms=[platform])(*arguments)
            assert lowered.platforms == (platform,)
            convolved = re.findall(r"stablehlo\.convolution\(.* -> tensor<[\dx]+x(\w+)>", lowered.mlir_module())
            # A TPU gathers and scatters one element at a time; a single slice costs nothing.
            indices = re.findall(
                r'"stablehlo\.(?:gather|scatter)".*? : \(tensor<\S+>, tensor<(\S+)>', lowered.mlir_module(), re.DOTALL
            )
            assert platform != "tpu" or all(re.fullmatch(r"\dxi32", shape) for shape in indices), indices
            assert ("bf16" in convolved) == (compute_dtype == "bfloat16")
            if name not in ("fast_voc", "rcnn_voc"):  # the RPN's logits and deltas are float32 in either case
                assert set(convolved) <= {"bf16", "f32"} and "f32" in convolved
            results = jax.eval_shape(function, *arguments)
            assert [(out.shape, out.dtype) for out in lowered.out_avals] == [
                (out.shape, out.dtype) for out in jax.tree.leaves(results)
            ]
            assert not any(out.dtype == jnp.bfloat16 for out in lowered.out_avals)
