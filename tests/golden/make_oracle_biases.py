"""Write oracle_biases.npz, a search of about 10 minutes: python -m tests.golden.make_oracle_biases

In the three steps of test_faster_rcnn_oracle about a million pre-activations enter a ReLU. With random parameters the
nearest lies some 1e-6 from 0, where float32 may round it to the other side, which changes gradients by percents. The
search moves the initial biases, layer by layer, so that 0 lies in a gap between the pre-activations of each channel.
Moving a bias changes the later layers and the later steps, so it repeats and keeps the best biases.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.training import state
from jaxdet.training.sharding import data_mesh
from jaxdet.training.step import make_train_step
from tests.models import test_faster_rcnn_oracle as test
from tests.oracle import sgd

FILE = pathlib.Path(__file__).parent / "oracle_biases.npz"
SWEEPS = 40
GAP = 1.8e-4  # half the width of a gap to look for
MAX_MOVE = 0.4


def three_steps(train_step, tx, schedule, initial):
    """Return the pre-activations [n,C] of each layer over both images and all steps."""
    now = state.create(
        state.unflatten(jax.tree.map(jnp.asarray, initial)), tx, jax.random.key(0), trainable=lambda path: True
    )
    params = {path: value.astype(np.float64) for path, value in initial.items()}
    velocity = {path: np.zeros(value.shape) for path, value in params.items()}
    collected = {}
    for step in range(3):
        now, metrics = train_step(now, test.batch(), schedule(step))
        images = test.oracle_images(params)
        for i, image in enumerate(images):
            anchors, rois = jax.tree.map(lambda x, i=i: np.asarray(x[i]), metrics["samples"])
            rows, columns = image.features.shape[:2]
            label = anchors.label.reshape(*test.GRID, -1)[:rows, :columns].reshape(-1)
            distance = np.abs(rois.boxes[rois.valid][:, None] - image.rois).max(axis=2)
            image.keep(np.flatnonzero(label >= 0), distance.argmin(axis=1))
        _, gradients = test.mean_losses_and_gradients(images)
        for image in images:
            for layer, values in image.net.preactivations.items():
                collected.setdefault(layer, []).append(values.reshape(-1, values.shape[-1]))
        sgd.step(params, velocity, gradients, rate=test.RATE if step < 1 else 0.1 * test.RATE)
    return {layer: np.concatenate(values) for layer, values in collected.items()}


def move(values):
    """Return the smallest change of a bias that puts 0 into a gap, or else into the widest gap near 0."""
    edges = np.concatenate([[-np.inf], np.sort(values), [np.inf]])
    low, high = edges[:-1] + GAP, edges[1:] - GAP
    places = np.clip(0, low[low <= high], high[low <= high])
    nearest = places[np.abs(places).argmin()]
    if abs(nearest) <= MAX_MOVE:
        return -nearest
    near = (edges[1:] > -MAX_MOVE) & (edges[:-1] < MAX_MOVE)
    widest = np.where(near, edges[1:] - edges[:-1], 0).argmax()
    return -(edges[widest] + edges[widest + 1]) / 2


def main():
    tx, schedule = test.optimizer()
    train_step = make_train_step(test.loss_and_samples, tx, data_mesh())
    params, best = test.random_params(), 0.0
    for sweep in range(SWEEPS):
        values = three_steps(train_step, tx, schedule, params)
        margin = min(float(np.abs(v).min()) for v in values.values())
        print(f"sweep {sweep}: margin {margin:.1e}", flush=True)
        if margin > best:
            best = margin
            np.savez_compressed(FILE, **{f"{layer}/bias": params[f"{layer}/bias"] for layer in values})
        for layer in values:
            too_near = np.abs(values[layer]).min(axis=0) < 0.75 * GAP
            if too_near.any():
                bias = params[f"{layer}/bias"].copy()
                for channel in np.flatnonzero(too_near):
                    bias[channel] += np.float32(move(values[layer][:, channel]))
                params[f"{layer}/bias"] = bias
                values = three_steps(train_step, tx, schedule, params)


if __name__ == "__main__":
    main()
