"""R-CNN, Fast R-CNN and Faster R-CNN, joint and in 4 steps, on the same generated pictures: accuracy and time.

    python -m benchmarks.family
    python -m benchmarks.family --small      runs through, learns little

All start from random weights; VGG16 and, for R-CNN, AlexNet of a quarter of their channels. Seconds are of CPU, of one
picture at a time in the test; training's are without the proposals, which are searched once for both that need them.
The whole took 71 minutes of CPU (with heads of 256), on one core beside other work; training keeps two cores busy to
80 %.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import time
from pathlib import Path

import jax
from ml_collections import ConfigDict

from configs import fast_devkit, faster_devkit_alternating, faster_shapes, rcnn_devkit
from jaxdet import experiment
from jaxdet import workdir as workdirs
from jaxdet.building import (
    build_detector,
    build_region_net,
    build_rpn,
    open_dataset,
    photo_batch_of,
    proposals_of,
    search_parameters,
)
from jaxdet.checks import bind
from jaxdet.evaluation.recall import proposal_recall
from jaxdet.models.rpn import rpn_detector
from jaxdet.ops.propose import propose
from jaxdet.proposals.selective_search import selective_search
from jaxdet.training.checkpoints import restore_params

SIZES = {"train": 400, "validation": 50, "test": 100}
SMALL = {"train": 40, "validation": 10, "test": 20}
STEPS = {"rcnn": 250, "fast": 3000, "joint": 3000, "rpn_stage": 3000, "fast_stage": 3000}
NAMES = {"rcnn": "R-CNN", "fast": "Fast R-CNN", "joint": "Faster R-CNN, joint", "steps": "Faster R-CNN, 4-step"}


def configs(folder: Path, *, small: bool) -> dict[str, ConfigDict]:
    made = {
        "rcnn": rcnn_devkit.get_config(),
        "fast": fast_devkit.get_config(),
        "joint": faster_shapes.get_config(),
        "steps": faster_devkit_alternating.get_config(),
    }
    shapes, steps = faster_shapes.get_config(), {name: 10 if small else count for name, count in STEPS.items()}
    for name, config in made.items():
        config.dataset = shapes.dataset.copy_and_resolve_references()
        config.dataset.update({"data_dir": str(folder / "data"), **(SMALL if small else SIZES)})
        config.splits = shapes.splits
        config.input.update({field: shapes.input[field] for field in ("short_side", "long_side", "max_gt", "workers")})
        config.net.head_features = shapes.net.head_features
        config.model.detections.nms_iou = 0.5
        rates = "learning_rate", "rate_by_fan_in", "bias_learning_rate_factor"
        config.optim.update({field: shapes.optim[field] for field in rates})
        config.training.update({"eval_every": 0, "log_every": 50, "checkpoint_every": 500})
        config.evaluation.pictures = 16
        if name in ("rcnn", "fast"):
            # The pictures are small, and so are the boxes worth having.
            config.proposals.update({"max_boxes": 300, "min_side": 12.0, "width": 192})
            config.training.steps = steps[name]
    made["joint"].training.steps = steps["joint"]
    four = made["steps"]
    four.anchors = shapes.anchors
    four.model.update({name: shapes.model[name] for name in ("train_proposals", "test_proposals", "min_proposal_size")})
    four.model.roi_targets.positive_fraction = made["fast"].model.roi_targets.positive_fraction = 0.5
    four.stages.rpn.steps, four.stages.fast_rcnn.steps = steps["rpn_stage"], steps["fast_stage"]
    return made


def run(name: str, config: ConfigDict, workdir: Path) -> dict[str, float]:
    """Trains, evaluates and times one system."""
    for part in ("train", "test"):  # so that the search is in nobody's time
        proposals_of(config, open_dataset(config, part))
    with _cpu() as training:
        experiment.train(config, str(workdir))
    summary = experiment.evaluate(None, str(workdir), part="test", checkpoint="last")
    trained, class_names = workdirs.read(workdir)
    dataset = open_dataset(trained, "test")
    images = [dataset[i].image for i in range(min(len(dataset), 30))]
    detector, params = build_detector(trained, class_names), jax.device_put(restore_params(workdir))
    batches = [photo_batch_of(trained, image) for image in images]
    row = {"mAP": summary["mAP"]["voc10@0.5"], "train s": training()}
    row["detect s"] = _median(jax.jit(detector.predict), [(params, batch) for batch in batches])
    row["with proposals s"] = row["detect s"]
    recall = summary.get("proposals")
    if name in ("rcnn", "fast"):
        search = search_parameters(trained)
        row["with proposals s"] += _median(lambda image: selective_search(image, **search), [(i,) for i in images])
    else:
        recall = _rpn_recall(trained, params, dataset)
    return row | recall


def _rpn_recall(config: ConfigDict, params, dataset) -> dict[str, float]:
    """Recall of what the RPN proposes in the test."""
    net, anchors = build_region_net(config, len(dataset.class_names))
    best = bind(propose, config.model.test_proposals, section="test_proposals")
    predict = jax.jit(rpn_detector(net, build_rpn(config, net, anchors), best).predict)
    found = (predict(params, photo_batch_of(config, dataset[i].image)) for i in range(len(dataset)))
    boxes = [jax.device_get(f.boxes[0][f.valid[0]]) for f in found]
    return proposal_recall(boxes, [dataset.annotations(i) for i in range(len(dataset))])


def _median(function, calls) -> float:
    jax.block_until_ready(function(*calls[0]))  # compiled
    times = []
    for arguments in calls:
        with _cpu() as taken:
            jax.block_until_ready(function(*arguments))
        times.append(taken())
    return statistics.median(times)


@contextlib.contextmanager
def _cpu():
    start, end = time.process_time(), []
    yield lambda: end[0] - start
    end.append(time.process_time())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="few pictures and steps")
    parser.add_argument("--folder", default="runs/family", help="where data and runs go; finished systems are kept")
    flags = parser.parse_args()
    folder = Path(flags.folder).resolve()
    rows = {}
    for name, config in configs(folder, small=flags.small).items():
        kept, made_of = folder / f"{name}.json", json.loads(config.to_json())
        found = json.loads(kept.read_text()) if kept.exists() else {}
        if found.get("config") != made_of:
            shutil.rmtree(folder / name, ignore_errors=True)  # what is there is of another config, or half timed
            found = {"row": run(name, config, folder / name), "config": made_of}
            kept.write_text(json.dumps(found, indent=1))
        rows[name] = found["row"]
    columns = list(rows["joint"])
    print(f"| system | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, row in rows.items():
        print(f"| {NAMES[name]} | {' | '.join(f'{row[column]:.4g}' for column in columns)} |")


if __name__ == "__main__":
    main()
