"""R-CNN, Fast R-CNN and Faster R-CNN, joint and in 4 steps, on the same generated images: accuracy and time.

    python -m benchmarks.family
    python -m benchmarks.family --small      few images and steps, to see that it runs

All train from random weights, VGG16 and, for R-CNN, AlexNet, with a quarter of their channels. Seconds are of CPU, per
image in detection. Those of training exclude Selective Search, which runs once for the two systems that need it. The
whole took 71 minutes of CPU (with heads of 256), on one core beside other work; training keeps two cores busy to 80 %.
"""

import argparse
import dataclasses
import json
import shutil
import statistics
from pathlib import Path

import jax
from ml_collections import ConfigDict

from benchmarks.timing import cpu_seconds
from configs import fast_devkit, faster_devkit_alternating, faster_shapes, rcnn_devkit
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.evaluate import evaluate
from jaxdet.evaluation.recall import proposal_recall
from jaxdet.inputs import image_batch, open_part, search_parameters
from jaxdet.load import restore
from jaxdet.proposals.selective_search import selective_search
from jaxdet.systems import SYSTEMS, build_alternating
from jaxdet.train import train
from jaxdet.training.restore import find_checkpoint

SIZES = {"train": 400, "validation": 50, "test": 100}
SMALL = {"train": 40, "validation": 10, "test": 20}
STEPS = {"rcnn": 250, "fast": 3000, "joint": 3000, "rpn_stage": 3000, "fast_stage": 3000}
NAMES = {"rcnn": "R-CNN", "fast": "Fast R-CNN", "joint": "Faster R-CNN, joint", "steps": "Faster R-CNN, 4-step"}


def family(folder: Path, *, small: bool) -> dict[str, ConfigDict]:
    """Return the configs of the four systems, equal wherever they share a field."""
    configs = {
        "rcnn": rcnn_devkit.get_config(),
        "fast": fast_devkit.get_config(),
        "joint": faster_shapes.get_config(),
        "steps": faster_devkit_alternating.get_config(),
    }
    shapes, steps = faster_shapes.get_config(), {name: 10 if small else count for name, count in STEPS.items()}
    for name, config in configs.items():
        config.dataset = shapes.dataset.copy_and_resolve_references()
        config.dataset.update({"data_dir": str(folder / "data"), **(SMALL if small else SIZES)})
        config.splits = shapes.splits
        config.input.update({field: shapes.input[field] for field in ("short_side", "long_side", "max_gt", "workers")})
        config.net.head_features = shapes.net.head_features
        config.head.detections.nms_iou = 0.5
        rates = "learning_rate", "reference_fan_in", "bias_learning_rate_factor"
        config.optim.update({field: shapes.optim[field] for field in rates})
        config.training.update({"eval_every": 0, "log_every": 50, "checkpoint_every": 500})
        config.evaluation.pictures = 16
        if name in ("rcnn", "fast"):
            # The images are small, and so are the boxes that matter.
            config.proposals.update({"max_boxes": 300, "min_side": 12.0, "width": 192})
            config.training.steps = steps[name]
    configs["joint"].training.steps = steps["joint"]
    four_steps = configs["steps"]
    four_steps.anchors = shapes.anchors
    four_steps.rpn.update({field: shapes.rpn[field] for field in ("train_proposals", "test_proposals", "min_size")})
    for name in ("steps", "fast"):
        configs[name].head.roi_targets.positive_fraction = 0.5
    four_steps.stages.rpn.steps, four_steps.stages.fast_rcnn.steps = steps["rpn_stage"], steps["fast_stage"]
    return configs


def measure(config: ConfigDict, workdir: Path) -> dict[str, float]:
    """Train, evaluate and time a system; return its row of the table."""
    experiment = parse(config.to_dict())
    for part in ("train", "test"):  # the search is not part of the training time
        open_part(experiment, part).with_proposals()
    row = {"train s": cpu_seconds(train, config, str(workdir))}
    summary = evaluate(None, str(workdir), split="test", checkpoint="last")
    trained, class_names = experiment_json.read(workdir)
    experiment = parse(trained)  # with the preprocessing and pool_rounding that training chose
    dataset = open_part(experiment, "test").dataset
    images = [dataset[i].image for i in range(min(len(dataset), 30))]
    detector, params = restore(find_checkpoint(workdir), experiment, class_names)
    batches = [image_batch(experiment, image) for image in images]
    row = {"mAP": summary["mAP"]["voc10@0.5"], **row}
    row["detect s"] = _median_seconds(jax.jit(detector.predict), [(params, batch) for batch in batches])
    row["with proposals s"] = row["detect s"]
    if SYSTEMS[experiment.system].needs_proposals:
        parameters = search_parameters(experiment.proposals)
        search = [(image,) for image in images]
        row["with proposals s"] += _median_seconds(lambda image: selective_search(image, **parameters), search)
        return row | summary["proposals"]
    return row | _rpn_recall(experiment, params, dataset)


def _rpn_recall(experiment, params, dataset) -> dict[str, float]:
    """Return the recall of the RPN's proposals in detection."""
    rpn = dataclasses.replace(experiment.rpn, train_proposals=experiment.rpn.test_proposals)  # what it predicts
    detector, _ = build_alternating(dataclasses.replace(experiment, rpn=rpn), dataset.class_names)
    predict = jax.jit(detector.predict)
    proposals = []
    for i in range(len(dataset)):
        row = jax.device_get(predict(params, image_batch(experiment, dataset[i].image)))
        proposals.append(row.boxes[0][row.valid[0]])
    return proposal_recall(proposals, map(dataset.annotations, range(len(dataset))))


def _median_seconds(function, calls) -> float:
    jax.block_until_ready(function(*calls[0]))  # compiles
    return statistics.median(cpu_seconds(function, *arguments) for arguments in calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="few images and steps")
    parser.add_argument("--folder", default="runs/family", help="of data and runs; a finished system is not run again")
    flags = parser.parse_args()
    folder = Path(flags.folder).resolve()
    rows = {}
    for name, config in family(folder, small=flags.small).items():
        path, wanted = folder / f"{name}.json", json.loads(json.dumps(config.to_dict()))
        result = json.loads(path.read_text()) if path.exists() else {}
        if result.get("config") != wanted:
            shutil.rmtree(folder / name, ignore_errors=True)  # a run of another config, or timed in part
            result = {"row": measure(config, folder / name), "config": wanted}
            path.write_text(json.dumps(result, indent=1))
        rows[name] = result["row"]
    columns = list(rows["joint"])
    print(f"| system | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, row in rows.items():
        print(f"| {NAMES[name]} | {' | '.join(f'{row[column]:.4g}' for column in columns)} |")


if __name__ == "__main__":
    main()
