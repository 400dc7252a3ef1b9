"""FLOPs and gradient bytes of a training step, from the program lowered for a GPU; nothing is compiled.

    python -m benchmarks.step_cost

Prints one row per image size of configs/faster_voc.py at its full width, for one image. docs/accelerators.md computes
with them what several devices could reach.
"""

import jax
import numpy as np

from configs import faster_voc
from jaxdet.config.fields import keywords
from jaxdet.config.parse import parse
from jaxdet.data.buckets import buckets
from jaxdet.data.collate import empty_batch
from jaxdet.recipes.stage import trainable_paths
from jaxdet.systems import build_detector
from jaxdet.training import state
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.sharding import data_mesh
from jaxdet.training.step import make_train_step


def main():
    config = faster_voc.get_config()
    config.net.update({"preprocessing": "caffe", "pool_rounding": "ceil", "dropout_scaling": "train"})
    experiment = parse(config.to_dict())
    detector = build_detector(experiment, tuple(f"class {k}" for k in range(20)))
    trainable = trainable_paths(detector, experiment.training.frozen)
    tx, schedule = make_optimizer(**keywords(experiment.optim), steps=experiment.training.steps)
    step = make_train_step(detector.loss, tx, data_mesh())

    def init(key):
        return state.create(detector.init(key), tx, key, trainable=trainable.__contains__)

    shapes = jax.eval_shape(init, jax.random.key(0))
    gradient = sum(4 * int(np.prod(leaf.shape)) for leaf in shapes.trainable.values())
    print(f"gradients: {gradient / 1e6:.1f} MB in float32, which is what the devices sum in each step")
    for size in buckets(short_side=600, long_side=1000)[::2]:
        batch = empty_batch(size, 1, max_gt=experiment.input.max_gt, max_proposals=0)
        # For a CPU the program has Winograd's convolutions, which need fewer.
        cost = step.trace(shapes, batch, schedule(0)).lower(lowering_platforms=("cuda",)).cost_analysis()
        print(f"{size[0]}x{size[1]}: {cost['flops'] / 1e9:.0f} GFLOP and {batch.image.nbytes / 1e6:.2f} MB per image")


if __name__ == "__main__":
    main()
