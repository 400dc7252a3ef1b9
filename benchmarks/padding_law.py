"""The padding law at VGG16's full width in float32: one image of 600x800 alone and in a bucket of 1008x1008.

    python -m benchmarks.padding_law

Prints the numbers of detections and the largest differences of their boxes and scores.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from configs import faster_voc
from jaxdet.config.parse import parse
from jaxdet.data.collate import empty_batch, place_image
from jaxdet.systems import build_detector

HEIGHT, WIDTH = 600, 800
BUCKETS = ((608, 800), (1008, 1008))


def batch_of(pixels, bucket):
    """Return a batch of one image without objects in the given bucket."""
    batch = empty_batch(bucket, 1, max_gt=1, max_proposals=0)
    place_image(batch, 0, pixels, short_side=HEIGHT, long_side=1000)
    batch.image_valid[0] = True
    return jax.tree.map(jnp.asarray, batch)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=1.0, help="share of VGG16's channels")
    flags = parser.parse_args()
    config = faster_voc.get_config()
    config.net.update({"preprocessing": "torchvision", "pool_rounding": "ceil", "dropout_scaling": "train"})
    config.net.width = flags.width
    config.head.detections.score_threshold = 0.0  # with random weights every class has about 1/21
    detector = build_detector(parse(config.to_dict()), tuple(f"class {k}" for k in range(20)))
    params = jax.jit(detector.init)(jax.random.key(0))
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    predict = jax.jit(detector.predict)
    alone, padded = (predict(params, batch_of(pixels, bucket)) for bucket in BUCKETS)
    same = np.asarray((alone.valid == padded.valid) & (alone.labels == padded.labels))[0]
    rows = np.flatnonzero(same & np.asarray(alone.valid[0]))
    print(f"detections: {int(alone.valid.sum())} alone, {int(padded.valid.sum())} padded, {len(rows)} of equal class")
    for name in ("boxes", "scores"):
        difference = np.abs(np.asarray(getattr(alone, name)) - np.asarray(getattr(padded, name)))[0][rows]
        print(f"{name}: largest difference {difference.max():.2g}")


if __name__ == "__main__":
    main()
