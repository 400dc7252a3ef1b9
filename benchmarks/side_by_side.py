"""The mAP of a peer's detections (peer_training.py) by jaxdet's own metric, on the validation split of a jaxdet run.

    python -m benchmarks.side_by_side RUN peer.npz [--least=20]

VOC10 AP at IoU 0.5, averaged over the classes with at least `--least` objects that are not difficult.
"""

import argparse
import pathlib

import numpy as np

from jaxdet import workdir
from jaxdet.evaluation.predict import ground_truth_table
from jaxdet.evaluation.tables import DetectionTable
from jaxdet.evaluation.voc_ap import average_precision
from jaxdet.experiment import open_dataset


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("peers", nargs="+")
    parser.add_argument("--least", type=int, default=20)
    flags = parser.parse_args()
    config, class_names = workdir.read(flags.run)
    truth = ground_truth_table(open_dataset(config, "validation"))
    counted = np.bincount(truth.labels[~truth.difficult], minlength=len(class_names) + 1)[1:] >= flags.least
    print("classes:", ", ".join(name for name, counts in zip(class_names, counted, strict=True) if counts))
    for peer in flags.peers:
        with np.load(peer) as file:
            assert tuple(file["class_names"]) == class_names
            boxes, labels = file["boxes"].astype(np.float64), file["labels"].astype(np.int32)
            found = DetectionTable(file["image"], boxes, labels, file["scores"])
        ap = average_precision(found, truth, num_classes=len(class_names), metric="voc10")
        print(f"{peer}: mAP {np.mean(ap[counted]):.3f} of {counted.sum()} classes")


if __name__ == "__main__":
    main()
