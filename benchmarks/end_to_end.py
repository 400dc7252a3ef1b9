"""CPU time of detection and of a training step at 600x1000, full-width VGG16, as a ratio to torchvision's.

    python -m benchmarks.end_to_end --peer-python=/path/to/an/environment/with/torchvision/bin/python

Both have random weights, RoIAlign and the sizes of configs/faster_voc.py. They run in turn, A B A B, each in a process
of its own. The table shows medians of process CPU time. jaxdet's image is in its bucket of 608x1008.
"""

import argparse
import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import cpu_seconds, medians_in_turn, peer
from configs import faster_voc
from jaxdet.config.parse import parse
from jaxdet.data.collate import empty_batch, place_image
from jaxdet.systems import build_detector
from jaxdet.training import state
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.sharding import data_mesh, replicate
from jaxdet.training.step import make_train_step

GOALS = {"detect": (0.85, 0.75), "train": (1.2, 1.0)}  # the ratio that must be reached, the one to aim at


def make_batch():
    pixels = np.random.default_rng(0).integers(0, 256, (600, 1000, 3), np.uint8)
    batch = empty_batch((608, 1008), 1, max_gt=3, max_proposals=0)
    place_image(batch, 0, pixels, short_side=600, long_side=1000)
    batch.image_valid[0] = batch.gt_valid[0] = True
    batch.gt_boxes[0] = [[100, 100, 400, 400], [500, 50, 900, 500], [30, 300, 200, 580]]
    batch.gt_labels[0] = 1, 5, 7
    return jax.tree.map(jnp.asarray, batch)


def experiment():
    config = faster_voc.get_config()
    config.head.roi_pooling = "align"
    config.net.update({"preprocessing": "torchvision", "pool_rounding": "ceil", "dropout_scaling": "train"})
    return parse(config.to_dict())


def cases():
    detector = build_detector(experiment(), tuple(f"class {k}" for k in range(20)))
    params = jax.jit(detector.init)(jax.random.key(0))
    tx, schedule = make_optimizer(steps=100, name="sgd", learning_rate=1e-5, schedule="step")
    mesh, batch, predict = data_mesh(), make_batch(), jax.jit(detector.predict)
    step = make_train_step(detector.loss, tx, mesh)
    copy = jax.tree.map(jnp.copy, params)  # the step donates its state
    frozen = ("conv1_", "conv2_")
    fresh = state.create(copy, tx, jax.random.key(0), trainable=lambda path: not path.startswith(frozen))
    latest = [replicate(fresh, mesh)]

    def train():
        latest[0], metrics = step(latest[0], batch, schedule(0))
        return metrics

    return {"detect": lambda: predict(params, batch), "train": train}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", required=True, help="Python interpreter of an environment with torchvision")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=[*GOALS], action="append", help="only this; both if not given")
    flags = parser.parse_args()
    with peer(flags.peer_python, "peer_faster_rcnn.py") as ask:
        print(f"{'CPU s':10}{'jaxdet':>8}{'peer':>8}{'ratio':>8}{'must':>8}{'aim':>8}")
        for case, run in cases().items():
            if flags.case and case not in flags.case:
                continue
            cpu_seconds(run), ask(case)  # compiles, allocates
            ours, theirs = medians_in_turn(
                functools.partial(cpu_seconds, run), functools.partial(ask, case), rounds=flags.rounds
            )
            must, aim = GOALS[case]
            print(f"{case:10}{ours:8.2f}{theirs:8.2f}{ours / theirs:8.2f}{must:8.2f}{aim:8.2f}", flush=True)


if __name__ == "__main__":
    main()
