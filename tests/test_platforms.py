"""The train step and detection lower to StableHLO for every platform, present or not."""

import importlib
import re

import jax
import jax.numpy as jnp
import pytest
from jax import export

from benchmarks.tpu import programs
from jaxdet.ops.by_platform import lowered_for
from jaxdet.training.sharding import data_mesh


def train_step_and_detection(name, compute_dtype):
    """Return the functions that benchmarks.tpu compiles, of a config on a narrow net, with their arguments' shapes."""
    config = importlib.import_module(f"configs.{name}").get_config()
    config.net.update({"width": 1 / 16, "head_features": 16, "compute_dtype": compute_dtype})
    config.training.pretrained = ""
    if config.system == "rcnn":
        config.head.scoring = "softmax"  # what it trains by; SVMs are fitted later
    return programs(config, images=2, bucket=(96, 128), mesh=data_mesh()).values()


CASES = [
    ("faster_voc", "float32", "tpu"),
    ("faster_voc", "bfloat16", "tpu"),
    ("faster_shapes", "bfloat16", "tpu"),
    ("coco_resnet50_fpn", "bfloat16", "tpu"),
    ("faster_voc", "bfloat16", "cuda"),
    ("coco_resnet50_fpn", "bfloat16", "cuda"),
    ("fast_voc", "bfloat16", "cuda"),
    ("rcnn_voc", "bfloat16", "cuda"),
    ("faster_voc", "bfloat16", "cpu"),  # other tests run more on a CPU
]


@pytest.mark.parametrize(("name", "compute_dtype", "platform"), CASES)
def test_the_train_step_and_detection_lower(name, compute_dtype, platform):
    adam = name == "faster_shapes"  # optax's Adam raises a float to an integer power
    # The mesh is one of CPUs; traced as for a mesh of this platform.
    with lowered_for(platform), jax.numpy_dtype_promotion("standard" if adam else "strict"):
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
