"""A least-squares "detector" that trains within a second; also a script: toy.py WORKDIR [--pause=SECONDS]."""

import argparse
import dataclasses
import os
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.io.lock import locked
from jaxdet.models.detector import Detector
from jaxdet.training import loop, sharding, state
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.stage import Stage
from jaxdet.training.step import make_train_step
from jaxdet.types import Batch

SIDE = 4
NAMES = [f"image{i}" for i in range(64)]


def batch(step: int, size: int = 8) -> Batch:
    """Batch of one step, a function of the step alone."""
    rng = np.random.default_rng(step)
    return Batch(
        image=rng.integers(0, 255, (size, SIDE, SIDE, 3), np.uint8),
        image_size=np.full((size, 2), SIDE, np.float32),
        scale=np.ones(size, np.float32),
        image_id=rng.permutation(len(NAMES))[:size].astype(np.int32),
        image_valid=np.ones(size, bool),
        gt_boxes=rng.random((size, 2, 4), np.float32),
        gt_labels=np.ones((size, 2), np.int32),
        gt_valid=np.ones((size, 2), bool),
        proposals=np.zeros((size, 0, 4), np.float32),
        proposals_valid=np.zeros((size, 0), bool),
    )


def batch_shapes(side: int = SIDE, size: int = 8) -> Batch:
    """Shapes of a batch of images of this height and width."""
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), batch(1, size))
    return dataclasses.replace(shapes, image=jax.ShapeDtypeStruct((size, side, side, 3), np.uint8))


def init(key):
    keys = jax.random.split(key)
    return {
        "conv": {"kernel": jax.random.normal(keys[0], (3, 5)) * 0.1, "bias": jnp.zeros(5)},
        "fc": {"kernel": jax.random.normal(keys[1], (5, 4)) * 0.1, "bias": jnp.zeros(4)},
    }


def loss(params, batch, key):
    """Regress the mean box from the mean colour; noise depends on the image id, as in the detectors."""
    pixels = batch.image.astype(jnp.float32).mean((1, 2)) / 255.0
    noise = jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), (3,)))(batch.image_id)
    hidden = jnp.tanh((pixels + 0.1 * noise) @ params["conv"]["kernel"] + params["conv"]["bias"][None])
    error = hidden @ params["fc"]["kernel"] + params["fc"]["bias"][None] - batch.gt_boxes.mean(1)
    total = jnp.square(error).mean()
    return total, {"box": total * 0.5}


def predict(params, batch):
    raise NotImplementedError


DETECTOR = Detector(init, loss, predict)


def optimizer(**changes):
    fields = {"steps": 20, "name": "sgd", "learning_rate": 0.1, "schedule": "step", "boundaries": (12,)}
    return make_optimizer(**(fields | changes))


def fresh_state(tx, mesh, trainable=lambda path: True):
    fresh = state.create(jax.jit(init)(jax.random.key(0)), tx, jax.random.key(1), trainable=trainable)
    return sharding.replicate(fresh, mesh)


def stage(steps: int, profile: tuple[int, int] = (0, 0), **more) -> Stage:
    tx, schedule = optimizer(steps=steps)
    return Stage(
        name="toy",
        number=0,
        seed=0,
        detector=DETECTOR,
        trainable=lambda path: path != "conv/bias",
        optimizer=tx,
        schedule=schedule,
        steps=steps,
        batch_size=8,
        accumulate=1,
        log_every=3,
        eval_every=5,
        checkpoint_every=3,
        profile=profile,
        keep=2,
        **more,
    )


def train(workdir, *, steps=20, pause=0.0, nan_at=None, evaluate=None, batches=None, profile=(0, 0), **more):
    """Run the loop on the toy; sleep `pause` seconds per step; give a batch with NaN at step `nan_at`."""
    mesh = sharding.data_mesh()
    toy = stage(steps, profile, **more)

    def stream(start):
        for step in range(start + 1, steps + 1):
            time.sleep(pause)
            host = batch(step)
            if step == nan_at:
                host.gt_boxes[:] = np.nan
            yield host

    def score(params, step):
        time.sleep(2 * pause)
        return {"val_loss": float(np.abs(params["fc"]["kernel"]).sum()), "val_map": float((step * 7 % 11) / 11)}

    with locked(workdir):
        return loop.run(
            toy,
            fresh_state(toy.optimizer, mesh, toy.trainable),
            make_train_step(DETECTOR.loss, toy.optimizer, mesh),
            batches or stream,
            lambda start: [batch_shapes(size=8 * jax.process_count())],
            put=lambda host: sharding.shard_batch(host, mesh),
            workdir=workdir,
            image_names=NAMES,
            evaluate=evaluate or score,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("workdir")
    parser.add_argument("--pause", type=float, default=0.0)
    arguments = parser.parse_args()
    train(arguments.workdir, pause=arguments.pause)
