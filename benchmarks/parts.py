"""CPU time of each part of detection at 600x1000, full-width VGG16, beside the rate of a plain matrix product.

    python -m benchmarks.parts [--rounds=3]

GFLOP are those of the convolutions and matrix products as they are defined, so Winograd's convolutions, which need
fewer, may exceed the rate of a matrix product. Parts without them have none. Medians of process CPU time, the parts in
turn; the image and sizes are those of benchmarks/end_to_end.py.
"""

import argparse
import functools
import statistics

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.convolutions import layers
from benchmarks.end_to_end import experiment, make_batch
from benchmarks.timing import cpu_seconds
from jaxdet.config.fields import keywords
from jaxdet.models.anchor_grid import make_anchor_grid
from jaxdet.models.roi_pooling import make_roi_pooling
from jaxdet.models.rpn import RpnOutput, region_proposal_network
from jaxdet.nets.region_net import STRIDE, region_net
from jaxdet.ops.anchors import base_anchors
from jaxdet.ops.detect import detect

CLASSES, PRODUCT = 20, (4096, 4608, 512)  # rows, inner, columns


def parts():
    """Return part -> (function without arguments, GFLOP)."""
    config, batch = experiment(), make_batch()
    anchors = base_anchors(**keywords(config.anchors), stride=STRIDE)
    net = region_net(**keywords(config.net), num_classes=CLASSES, num_anchors=len(anchors))
    rpn = region_proposal_network(net, anchors, **keywords(config.rpn))
    params = jax.jit(net.init)(jax.random.key(0))
    detect_boxes = jax.vmap(functools.partial(detect, **keywords(config.head.detections)))
    detections = lambda scores, deltas, proposals: detect_boxes(  # noqa: E731
        jax.nn.softmax(scores), deltas, proposals.boxes, proposals.valid, batch.image_size
    )

    trunk = jax.jit(lambda params, batch: net.features(params, net.preprocess(batch.image), batch.image_size))
    features, size = trunk(params, batch)
    rpn_head, grid = jax.jit(net.rpn), make_anchor_grid(net, anchors)
    output = rpn_head(params, features)
    propose = jax.jit(lambda output, size: rpn.propose_test(RpnOutput(*output, grid(features, size)), batch))
    proposals = propose(output, size)
    pool = jax.jit(make_roi_pooling(net, config.head.roi_pooling))
    pooled = pool(features, size, proposals.boxes)
    head = jax.jit(lambda params, pooled: net.head(params, pooled, None))
    scores, deltas = head(params, pooled)

    height, width, channels = features.shape[1:]
    image = batch.image.shape[1] * batch.image.shape[2]
    convolutions = 27 * 64 * image + sum(
        9 * n * h * w * c * f for n, h, w, c, f in layers(1.0, *batch.image.shape[1:3])
    )
    outputs = 6 * len(anchors)
    hidden = proposals.boxes.shape[1] * sum(
        leaf.size for name in ("fc6", "fc7", "cls_score", "bbox_pred") for leaf in [params[name]["kernel"]]
    )
    a, b = (jnp.asarray(np.random.default_rng(0).normal(size=s), jnp.float32) for s in (PRODUCT[:2], PRODUCT[1:]))
    return {
        "matrix product": (functools.partial(jax.jit(jnp.matmul), a, b), 2e-9 * np.prod(PRODUCT, dtype=float)),
        "trunk": (functools.partial(trunk, params, batch), 2e-9 * convolutions),
        "RPN": (
            functools.partial(rpn_head, params, features),
            2e-9 * height * width * channels * (9 * channels + outputs),
        ),
        "proposals": (functools.partial(propose, output, size), 0.0),
        "RoIAlign": (functools.partial(pool, features, size, proposals.boxes), 0.0),
        "head": (functools.partial(head, params, pooled), 2e-9 * hidden),
        "detections": (functools.partial(jax.jit(detections), scores, deltas, proposals), 0.0),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    timed = parts()
    rounds = [{part: cpu_seconds(run) for part, (run, _) in timed.items()} for _ in range(flags.rounds + 1)][1:]
    seconds = {part: statistics.median(times[part] for times in rounds) for part in timed}
    limit = timed["matrix product"][1] / seconds["matrix product"]
    print(f"{'part':16}{'CPU ms':>8}{'GFLOP':>8}{'GFLOP/s':>9}{'of the product':>16}")
    for part, (_, work) in timed.items():
        rate = work / seconds[part]
        rated = f"{work:8.1f}{rate:9.0f}{rate / limit:16.0%}" if work else ""
        print(f"{part:16}{1e3 * seconds[part]:8.0f}{rated}")


if __name__ == "__main__":
    main()
