"""Evaluation: a trained detector scored on a split."""

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxdet import visualize
from jaxdet.checks import InputError
from jaxdet.config.dataset_fields import Voc
from jaxdet.config.parse import parse
from jaxdet.config.schema import Experiment
from jaxdet.evaluation.coco_json import DETECTIONS, GROUND_TRUTH, write_coco
from jaxdet.evaluation.comp4 import comp4_files, write_comp4
from jaxdet.evaluation.detect import detect_split, ground_truth_table
from jaxdet.evaluation.metrics import METRICS, holds_metrics, print_table, summarize, write_metrics
from jaxdet.evaluation.recall import proposal_recall
from jaxdet.evaluation.tables import DetectionTable, best_of_each_class, clip_to_images, only_named
from jaxdet.inputs import open_evaluation_part
from jaxdet.io.file_name import safe_file_name
from jaxdet.io.output_folder import OutputFolder, unique_name
from jaxdet.io.progress import counting, waiting
from jaxdet.load import choose_checkpoint, restore, trained_experiment
from jaxdet.systems import SYSTEMS
from jaxdet.training.sharding import check_batch_size, data_mesh, make_predict, replicate, shard_batch
from jaxdet.types import Dataset
from jaxdet.weights.coco import UNUSED

log = logging.getLogger(__name__)

ALL_PICTURES = "pictures/all.png"
SERVER_FOLDER = "results/VOC2012/Main/"
TAR = "tar -czf results.tgz results"


def evaluate(
    config: ConfigDict | None, workdir: str | None, *, split: str, checkpoint: str, images: int | None = None
) -> dict[str, Any]:
    """Score a trained detector; print a table and write metrics.json, result files and pictures.

    They go to workdir/evaluation/<split>/: metrics.json, PASCAL's comp4 files, COCO's JSON, pictures/. A split without
    annotations, such as VOC's 2012/test, is not scored: its comp4 files go to results/VOC2012/Main/ there, the
    folders of an archive for PASCAL's server, and COCO's JSON has no ground truth.

    Args:
      config: overrides the workdir's own, for other data or thresholds; None for the workdir's.
      workdir: a workdir or an exported file, whose results go to a folder of its name; None for runs/<name of the
        config>.
      split: 'train', 'validation' or 'test': which of config.splits.
      checkpoint: 'best' (by validation mAP; the last where none was validated), 'last' or a saved step.
      images: only so many images of the split are used, for a dry run; None for all.

    Returns:
      The content of metrics.json: evaluation.metrics.summarize's metrics, the split and the checkpoint scored, what
      differs from training and, for a detector that is given boxes, their recall. Without annotations the numbers of
      images and detections replace the metrics and the recall.

    Raises:
      InputError: no such workdir, checkpoint or split; other classes than those trained on; a file that jaxdet did not
        write has the name of a result.
    """
    overriding = None if config is None else parse(config.to_dict())
    if not workdir:
        if overriding is None:
            raise InputError("--workdir is missing; give the folder that train.py wrote, such as runs/faster_shapes.")
        workdir = overriding.default_workdir
    folder = Path(workdir).resolve()
    experiment, class_names, changed = trained_experiment(folder, overriding)
    named = tuple(name for name in class_names if name != UNUSED)
    data = open_evaluation_part(experiment, split, named)
    if images:
        data = data.first(images, folder / "data")
    dataset = data.dataset
    if dataset.class_names != named:
        raise InputError(
            f"classes: {folder} was trained on {named}, the data has {dataset.class_names}; give data of the "
            "same classes, or name them in that order (of a devkit: dataset.class_names)."
        )
    results = folder.with_suffix("") if folder.is_file() else folder
    output = OutputFolder(results / "evaluation" / split, cure="free it, or work on a copy")
    result_files = comp4_files(_comp4_name(experiment, split), named)
    outdated: list[str] = []  # results of an earlier evaluation with annotations
    if not data.annotated:
        result_files, outdated = [SERVER_FOLDER + file for file in result_files], [*result_files, GROUND_TRUTH]
    pictures = _picture_files(dataset.names[: experiment.evaluation.pictures])
    names = [METRICS, DETECTIONS, GROUND_TRUTH, *result_files, *outdated, *pictures, ALL_PICTURES]
    if holds_metrics(output.folder):  # of a version that wrote no list of its results
        output.adopt(names, write_list=jax.process_index() == 0)
    output.check(names)
    mesh = data_mesh()
    check_batch_size(experiment.evaluation.batch_size, mesh)
    source = choose_checkpoint(folder, checkpoint)
    with waiting("reading the detector"):
        detector, params = restore(source, experiment, class_names)
    params, predict = replicate(params, mesh), make_predict(detector.predict, mesh)

    truth, data = ground_truth_table(dataset), data.with_proposals()
    with counting("detecting", total=len(dataset)) as finish:
        detections = detect_split(
            lambda batch: predict(params, shard_batch(batch, mesh)), data.eval_batches(), finish=finish
        )
    detections = only_named(detections, class_names, UNUSED)
    detections = clip_to_images(detections, dataset.image_sizes)
    detections = best_of_each_class(detections, images=len(dataset), mean=experiment.evaluation.detections_per_class)
    if data.annotated:
        match_at_threshold = experiment.evaluation.match_at_threshold
        summary = summarize(detections, truth, named, match_at_threshold=match_at_threshold)
    else:
        summary = {"images": len(dataset), "detections": len(detections.image)}
    split_name = getattr(experiment.splits, split)
    summary |= {"not_as_trained": changed, "split": split_name, "checkpoint": source.name}
    if data.annotated and data.proposals is not None:
        summary["proposals"] = proposal_recall(data.proposals, map(dataset.annotations, range(len(dataset))))
    if jax.process_index() == 0:
        for file in outdated:
            output.remove(file)
        if data.annotated:
            print_table(summary)
        write_metrics(output, summary)
        write_comp4(output, result_files, detections, dataset.names)
        objects = truth if data.annotated else None
        write_coco(output, detections, objects, dataset.names, dataset.image_sizes, named)
        _draw_pictures(output, pictures, dataset, detections, experiment)
        log.info("metrics, result files and pictures: %s", output.folder)
        if not data.annotated:
            place = shlex.quote(str(output.folder))
            log.info("no mAP: %s has no annotations; archive for PASCAL's server: cd %s && %s", split_name, place, TAR)
    return summary


def _comp4_name(experiment: Experiment, split: str) -> str:
    """Return the split's name in the official devkit: 'test' for '2007/test'; a sum or slice has no such name."""
    name = getattr(experiment.splits, split)
    if {"+", "["} & set(name):
        return split
    name = name.rpartition("/")[2]
    return "val" if isinstance(experiment.dataset, Voc) and name == "validation" else name


def _picture_files(names: Sequence[str]) -> list[str]:
    """Return a file for each image name; none is the file with all of them."""
    used = {ALL_PICTURES}
    return [unique_name(f"pictures/{safe_file_name(name, '.png')}", used) for name in names]


def _draw_pictures(
    output: OutputFolder, files: Sequence[str], dataset: Dataset, detections: DetectionTable, experiment: Experiment
) -> None:
    """Draw the first images with their likely detections and, dashed, the ground truth."""
    threshold = SYSTEMS[experiment.system].default_threshold(experiment)
    pictures = []
    for i, file in enumerate(files):
        rows = (detections.image == i) & (detections.scores >= threshold)
        record = dataset[i]
        boxes, scores, labels = detections.boxes[rows], detections.scores[rows], detections.labels[rows]
        picture = visualize.draw(record.image, boxes, scores, labels, dataset.class_names, gt_boxes=record.boxes)
        output.write(file, visualize.encode_png(picture))
        pictures.append(picture)
    if pictures:
        output.write(ALL_PICTURES, visualize.encode_png(visualize.grid(pictures, 4)))
