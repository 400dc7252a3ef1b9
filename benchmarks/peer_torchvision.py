"""The peer of ops.py: torchvision's operations. Needs only torch, torchvision and numpy.

Started as `PEER_PYTHON benchmarks/peer_torchvision.py INPUTS.npz`. For each line `time CASE` or `checksum CASE` of its
standard input it prints the process's CPU milliseconds or the sum of the result's magnitudes.
"""

import sys
import time

import numpy as np
import torch
import torchvision


def cases(inputs):
    tensor = {name: torch.from_numpy(array) for name, array in inputs.items()}
    features = tensor["features"].permute(2, 0, 1)[None].contiguous()

    def rois(boxes):
        return torch.cat([torch.zeros(len(boxes), 1), boxes], dim=1)

    def nms(count, keep):
        boxes, scores = tensor["boxes"][:count], tensor["scores"][:count]
        return lambda: torchvision.ops.nms(boxes, scores, 0.7)[:keep].sum()

    def forward(op, boxes):
        @torch.inference_mode()
        def run():
            return op(features, boxes)

        return run

    def gradient(op, boxes):
        cotangent = tensor["cotangent"].permute(0, 3, 1, 2).contiguous()

        def run():
            x = features.clone().requires_grad_(True)
            op(x, boxes).backward(cotangent)
            return x.grad

        return run

    def pool(x, boxes):
        return torchvision.ops.roi_pool(x, boxes, 7, 1 / 16)

    def align(x, boxes):
        return torchvision.ops.roi_align(x, boxes, 7, 1 / 16, sampling_ratio=2, aligned=False)

    many, few = rois(tensor["rois_300"]), rois(tensor["rois_128"])
    return {
        "nms 12000 -> 2000": nms(12000, 2000),
        "nms 6000 -> 300": nms(6000, 300),
        "roi_max_pool 300, forward": forward(pool, many),
        "roi_max_pool 128, forward + backward": gradient(pool, few),
        "roi_align 300, forward": forward(align, many),
        "roi_align 128, forward + backward": gradient(align, few),
    }


def main():
    run = cases(dict(np.load(sys.argv[1])))
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}", flush=True)
    for line in sys.stdin:
        command, case = line.strip().split(" ", 1)
        start = time.process_time()
        result = run[case]()
        milliseconds = (time.process_time() - start) * 1e3
        print(milliseconds if command == "time" else float(result.double().abs().sum()), flush=True)


if __name__ == "__main__":
    main()
