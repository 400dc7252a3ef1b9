"""CPU time of jaxdet's operations as a ratio to torchvision's; lower is better.

    python -m benchmarks.ops --peer-python=/path/to/an/environment/with/torchvision/bin/python

Both run in turn, A B A B, each in a process of its own, on the same inputs in their own layout. The table shows medians
of process CPU time. The sizes are those of a 600x1000 image and VGG16: features of 38x64x512.
"""

import argparse
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import cpu_seconds, medians_in_turn, peer
from jaxdet.ops.anchors import base_anchors, grid_anchors
from jaxdet.ops.boxes import pairwise_iou
from jaxdet.ops.nms import nms
from jaxdet.ops.roi_align import roi_align
from jaxdet.ops.roi_pool import roi_max_pool

# case -> (the ratio that must be reached, the one to aim at); torchvision always computes in float32.
GOALS = {
    "nms 12000 -> 2000": (0.4, 0.25),
    "nms 6000 -> 300": (0.4, 0.25),
    "roi_max_pool 300, forward": (0.65, 0.45),
    "roi_max_pool 128, forward + backward": (2.0, 1.5),
    "roi_max_pool 128, forward + backward, bfloat16": (1.2, 1.0),
    "roi_align 300, forward": (1.0, 0.5),
    "roi_align 128, forward + backward": (1.0, 0.5),
}


def make_inputs():
    """Return the inputs of all cases; boxes like a half-trained RPN's: crowded around objects, noise elsewhere."""
    rng = np.random.default_rng(0)
    corner = rng.uniform([0, 0], [800, 450], (12, 2))
    objects = np.concatenate([corner, np.minimum(corner + rng.uniform(40, 400, (12, 2)), [1000, 600])], axis=1)
    anchors = grid_anchors(base_anchors(), (38, 63), stride=16)
    iou = np.asarray(pairwise_iou(jnp.asarray(anchors), jnp.asarray(objects, jnp.float32)))
    pull = np.where(iou.max(axis=1) > 0.1, rng.uniform(0.3, 0.95, len(anchors)), 0.0)[:, None]
    boxes = anchors + pull * (objects[iou.argmax(axis=1)] - anchors) + rng.normal(0, 8, anchors.shape)
    boxes = np.clip(boxes, 0, [1000, 600, 1000, 600])
    scores = iou.max(axis=1) + rng.normal(0, 0.1, len(anchors))
    scores[(boxes[:, 2:] - boxes[:, :2]).min(axis=1) < 16] = -9
    best = np.argsort(-scores, kind="stable")[:12000]
    boxes, scores = boxes[best].astype(np.float32), scores[best].astype(np.float32)
    rois, _ = nms(
        jnp.asarray(boxes), jnp.asarray(scores), jnp.ones(len(boxes), bool), iou_threshold=0.7, max_outputs=300
    )
    return {
        "boxes": boxes,
        "scores": scores,
        "rois_300": boxes[rois],
        "rois_128": boxes[rois[:128]],
        "features": np.maximum(rng.normal(size=(38, 64, 512)), 0).astype(np.float32),
        "cotangent": rng.normal(size=(128, 7, 7, 512)).astype(np.float32),
    }


def cases(inputs):
    array = {name: jnp.asarray(value) for name, value in inputs.items()}

    def suppress(count, keep):
        boxes, scores, valid = array["boxes"][:count], array["scores"][:count], jnp.ones(count, bool)
        run = jax.jit(lambda b, s, v: jnp.sum(nms(b, s, v, iou_threshold=0.7, max_outputs=keep)[0]))
        return lambda: run(boxes, scores, valid)

    def forward(op):
        run = jax.jit(op)
        return lambda: run(array["features"], array["rois_300"])

    def gradient(op, dtype=jnp.float32):
        run = jax.jit(lambda features, rois, g: jax.vjp(lambda f: op(f, rois), features)[1](g)[0])
        features, g = array["features"].astype(dtype), array["cotangent"].astype(dtype)
        return lambda: run(features, array["rois_128"], g)

    return {
        "nms 12000 -> 2000": suppress(12000, 2000),
        "nms 6000 -> 300": suppress(6000, 300),
        "roi_max_pool 300, forward": forward(roi_max_pool),
        "roi_max_pool 128, forward + backward": gradient(roi_max_pool),
        "roi_max_pool 128, forward + backward, bfloat16": gradient(roi_max_pool, jnp.bfloat16),
        "roi_align 300, forward": forward(roi_align),
        "roi_align 128, forward + backward": gradient(roi_align),
    }


def compare(case, run, ask, rounds):
    """Return medians of CPU milliseconds (ours, theirs), after a first run each that compiles and compares results."""
    peer_case = case.removesuffix(", bfloat16")
    ours, theirs = float(np.abs(np.asarray(run(), np.float64)).sum()), ask(f"checksum {peer_case}")
    if abs(ours - theirs) > 0.01 * theirs:
        raise SystemExit(f"{case}: the results differ, their magnitudes sum to {ours:.6g} and {theirs:.6g}")
    return medians_in_turn(lambda: 1e3 * cpu_seconds(run), lambda: ask(f"time {peer_case}"), rounds=rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", required=True, help="Python interpreter of an environment with torchvision")
    parser.add_argument("--rounds", type=int, default=9)
    flags = parser.parse_args()
    inputs = make_inputs()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "inputs.npz"
        np.savez(path, **inputs)
        with peer(flags.peer_python, "peer_torchvision.py", path) as ask:
            print(f"{'CPU ms':50}{'jaxdet':>8}{'peer':>8}{'ratio':>8}{'must':>8}{'aim':>8}")
            for case, run in cases(inputs).items():
                ours, theirs = compare(case, run, ask, flags.rounds)
                must, aim = GOALS[case]
                print(f"{case:50}{ours:8.1f}{theirs:8.1f}{ours / theirs:8.2f}{must:8.2f}{aim:8.2f}", flush=True)


if __name__ == "__main__":
    main()
