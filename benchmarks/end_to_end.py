"""CPU time of a detection and of a training step at 600x1000, full-width VGG16, as a ratio to torchvision's.

    python -m benchmarks.end_to_end --peer-python=/path/to/an/environment/with/torchvision/bin/python

Both have random weights, RoIAlign and the sizes of configs/faster_voc.py, and run in turn, A B A B, each in a process
of its own. The table shows medians of process CPU time; jaxdet's image stands in its bucket of 608x1008.
"""

import argparse
import pathlib
import statistics
import subprocess
import time

import jax
import jax.numpy as jnp
import numpy as np

from configs import faster_voc
from jaxdet.building import build_detector
from jaxdet.training import state
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.sharding import data_mesh, replicate
from jaxdet.training.step import make_train_step
from jaxdet.types import Batch

GOALS = {"detect": (0.85, 0.75), "train": (1.2, 1.0)}  # the ratio that must be reached, the one to aim at


def make_batch():
    canvas = np.zeros((1, 608, 1008, 3), np.uint8)
    canvas[:, :600, :1000] = np.random.default_rng(0).integers(0, 256, (600, 1000, 3))
    return Batch(
        image=jnp.asarray(canvas),
        image_size=jnp.asarray([[600.0, 1000.0]]),
        scale=jnp.ones(1),
        image_id=jnp.zeros(1, jnp.int32),
        image_valid=jnp.ones(1, bool),
        gt_boxes=jnp.asarray([[[100.0, 100, 400, 400], [500, 50, 900, 500], [30, 300, 200, 580]]]),
        gt_labels=jnp.asarray([[1, 5, 7]], jnp.int32),
        gt_valid=jnp.ones((1, 3), bool),
        proposals=jnp.zeros((1, 0, 4)),
        proposals_valid=jnp.zeros((1, 0), bool),
    )


def cases():
    config = faster_voc.get_config()
    config.model.roi_pooling = "align"
    config.net.update({"normalisation": "torchvision", "pooling": "ceil"})
    detector = build_detector(config, tuple(f"class {k}" for k in range(20)))
    params = jax.jit(detector.init)(jax.random.key(0))
    tx, _ = make_optimizer(steps=100, name="sgd", learning_rate=1e-5, schedule="step")
    mesh, batch, predict = data_mesh(), make_batch(), jax.jit(detector.predict)
    step = make_train_step(detector.loss, tx, mesh)
    frozen = ("conv1_", "conv2_")
    copy = jax.tree.map(jnp.copy, params)
    latest = [
        replicate(state.create(copy, tx, jax.random.key(0), trainable=lambda path: not path.startswith(frozen)), mesh)
    ]

    def train():
        latest[0], metrics = step(latest[0], batch)
        return metrics

    return {"detect": lambda: predict(params, batch), "train": train}


def time_ours(run):
    start = time.process_time()
    jax.block_until_ready(run())
    return time.process_time() - start


def ask(peer, case):
    print(case, file=peer.stdin, flush=True)
    return float(peer.stdout.readline())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", required=True, help="Python interpreter of an environment with torchvision")
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    script = pathlib.Path(__file__).with_name("peer_faster_rcnn.py")
    with subprocess.Popen(
        [flags.peer_python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as peer:
        print(f"jax {jax.__version__} on {jax.default_backend()}, peer {peer.stdout.readline().strip()}")
        print(f"{'CPU s':10}{'jaxdet':>8}{'peer':>8}{'ratio':>8}{'must':>8}{'aim':>8}")
        for case, run in cases().items():
            time_ours(run), ask(peer, case)  # compiles, allocates
            pairs = [(time_ours(run), ask(peer, case)) for _ in range(flags.rounds)]
            ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
            must, aim = GOALS[case]
            print(f"{case:10}{ours:8.2f}{theirs:8.2f}{ours / theirs:8.2f}{must:8.2f}{aim:8.2f}", flush=True)
        peer.stdin.close()


if __name__ == "__main__":
    main()
