"""FLOPs and gradient bytes of a training step, from the program lowered for a GPU; nothing is compiled.

    python -m benchmarks.step_cost

Prints one row per image size of configs/faster_voc.py at its full width, for one image. docs/accelerators.md computes
with them what several devices could reach.
"""

import numpy as np

from benchmarks.tpu import programs
from configs import faster_voc
from jaxdet.data.buckets import buckets
from jaxdet.ops.by_platform import lowered_for
from jaxdet.training.sharding import data_mesh


def main():
    config = faster_voc.get_config()
    for size in buckets(short_side=600, long_side=1000)[::2]:
        step, arguments = programs(config, images=1, bucket=size, mesh=data_mesh())["step"]
        state, batch, _ = arguments
        with lowered_for("gpu"):  # for a CPU the program has Winograd's convolutions, which need fewer
            cost = step.trace(*arguments).lower(lowering_platforms=("cuda",)).cost_analysis()
        megabytes = np.prod(batch.image.shape) / 1e6  # one byte per channel
        print(f"{size[0]}x{size[1]}: {cost['flops'] / 1e9:.0f} GFLOP and {megabytes:.2f} MB per image")
    gradient = sum(4 * int(np.prod(leaf.shape)) for leaf in state.trainable.values())
    print(f"gradients: {gradient / 1e6:.1f} MB in float32, which is what the devices sum in each step")


if __name__ == "__main__":
    main()
