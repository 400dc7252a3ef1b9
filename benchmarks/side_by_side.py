"""mAP of a jaxdet run and of peers' detections (peer_training.py) by the same metrics, on the same split.

    python evaluate.py --workdir=RUN --split=validation --checkpoint=last
    python -m benchmarks.side_by_side RUN peer.npz ... --split=validation --classes=cat,dog

VOC10 and VOC07 AP at IoU 0.5, averaged over `--classes`.
"""

import argparse
import json
import pathlib

import numpy as np

from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.evaluation.detect import ground_truth_table
from jaxdet.evaluation.tables import DetectionTable
from jaxdet.evaluation.voc_ap import average_precision
from jaxdet.inputs import open_part

METRICS = ("voc10", "voc07")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("peers", nargs="+")
    parser.add_argument("--classes", type=lambda text: text.split(","), required=True)
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="of RUN's config")
    flags = parser.parse_args()
    config, class_names = experiment_json.read(flags.run)
    metrics = json.loads((flags.run / f"evaluation/{flags.split}/metrics.json").read_text())["classes"]
    for metric in METRICS:
        show(flags.run, metric, {name: metrics[name][f"{metric}@0.5"] for name in flags.classes})
    truth = ground_truth_table(open_part(parse(config), flags.split).dataset)
    for peer in flags.peers:
        with np.load(peer) as file:
            assert tuple(file["class_names"]) == class_names
            boxes, labels = file["boxes"].astype(np.float64), file["labels"].astype(np.int32)
            detections = DetectionTable(file["image"], boxes, labels, file["scores"])
        for metric in METRICS:
            ap = average_precision(detections, truth, num_classes=len(class_names), metric=metric)
            show(peer, metric, {name: ap[class_names.index(name)] for name in flags.classes})


def show(run, metric, ap):
    scores = " ".join(f"{name} {score:.3f}" for name, score in ap.items())
    print(f"{run}, {metric}: mAP {np.mean(list(ap.values())):.3f} {scores}")


if __name__ == "__main__":
    main()
