"""The padding law at VGG16's full width in float32: one image of 600x800 alone and in a bucket of 1008x1008.

    python -m benchmarks.padding_law

Prints the largest differences of its detections' boxes and scores, and of its proposals' number.
"""

import jax
import jax.numpy as jnp
import numpy as np

from configs import faster_voc
from jaxdet.building import build_detector
from jaxdet.types import Batch

HEIGHT, WIDTH = 600, 800
BUCKETS = ((608, 800), (1008, 1008))


def batch(pixels, bucket):
    canvas = np.zeros((1, *bucket, 3), np.uint8)
    canvas[0, :HEIGHT, :WIDTH] = pixels
    return Batch(
        image=jnp.asarray(canvas),
        image_size=jnp.array([[HEIGHT, WIDTH]], jnp.float32),
        scale=jnp.ones(1),
        image_id=jnp.zeros(1, jnp.int32),
        image_valid=jnp.ones(1, bool),
        gt_boxes=jnp.zeros((1, 1, 4)),
        gt_labels=jnp.zeros((1, 1), jnp.int32),
        gt_valid=jnp.zeros((1, 1), bool),
        proposals=jnp.zeros((1, 0, 4)),
        proposals_valid=jnp.zeros((1, 0), bool),
    )


def main():
    config = faster_voc.get_config()
    config.net.update({"normalisation": "torchvision", "pooling": "ceil"})
    config.model.detections.score_threshold = 0.0  # with random weights every class has about 1/21
    detector = build_detector(config, tuple(f"class {k}" for k in range(20)))
    params = jax.jit(detector.init)(jax.random.key(0))
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    predict = jax.jit(detector.predict)
    alone, padded = (predict(params, batch(pixels, bucket)) for bucket in BUCKETS)
    same = np.asarray((alone.valid == padded.valid) & (alone.labels == padded.labels))[0]
    rows = np.flatnonzero(same & np.asarray(alone.valid[0]))
    print(f"detections: {int(alone.valid.sum())} alone, {int(padded.valid.sum())} padded, {len(rows)} of one class")
    for name in ("boxes", "scores"):
        difference = np.abs(np.asarray(getattr(alone, name)) - np.asarray(getattr(padded, name)))[0][rows]
        print(f"{name}: largest difference {difference.max():.2g}")


if __name__ == "__main__":
    main()
