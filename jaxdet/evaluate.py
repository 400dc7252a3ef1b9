"""Evaluation: a trained detector scored on a split."""

import dataclasses
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
from jaxdet.evaluation.analysis import analyse
from jaxdet.evaluation.coco_json import DETECTIONS, GROUND_TRUTH, write_coco
from jaxdet.evaluation.comp4 import comp4_files, write_comp4
from jaxdet.evaluation.detect import detect_split, ground_truth_table
from jaxdet.evaluation.metrics import METRICS, holds_metrics, print_table, summarize, write_metrics
from jaxdet.evaluation.recall import proposal_recall
from jaxdet.evaluation.report.page import REPORT, REPORT_NUMBERS, write_report
from jaxdet.evaluation.stopwatch import Stopwatch
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable, best_of_each_class, clip_to_images, only_named
from jaxdet.inputs import Split, open_evaluation_part
from jaxdet.io.file_name import safe_file_name
from jaxdet.io.output_folder import OutputFolder, unique_name
from jaxdet.io.progress import counting, waiting
from jaxdet.load import choose_checkpoint, restore, trained_experiment
from jaxdet.models.detector import Detector
from jaxdet.systems import SYSTEMS
from jaxdet.training.sharding import check_batch_size, data_mesh, make_predict, replicate, shard_batch
from jaxdet.types import Batch, Detections, Params
from jaxdet.weights.coco import UNUSED

log = logging.getLogger(__name__)

ALL_PICTURES = "pictures/all.png"
SERVER_FOLDER = "results/VOC2012/Main/"
TAR = "tar -czf results.tgz results"


def evaluate(
    config: ConfigDict | None, workdir: str | None, *, split: str, checkpoint: str, images: int | None = None
) -> dict[str, Any]:
    """Score a trained detector; print a table and write metrics.json, result files and pictures.

    They go to workdir/evaluation/<split>/: metrics.json, report.html with its numbers in report.json, PASCAL's comp4
    files, COCO's JSON, pictures/. A split without annotations, such as VOC's 2012/test, is not scored: its comp4 files
    go to results/VOC2012/Main/ there, the folders of an archive for PASCAL's server, COCO's JSON has no ground truth,
    and there is no report.

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
    folder = _folder(config, workdir)
    overriding = None if config is None else parse(config.to_dict())
    experiment, class_names, changed = trained_experiment(folder, overriding)
    named = tuple(name for name in class_names if name != UNUSED)
    data = open_evaluation_part(experiment, split, named)
    if images:
        data = data.first(images, folder / "data")
    if data.dataset.class_names != named:
        raise InputError(
            f"classes: {folder} was trained on {named}, the data has {data.dataset.class_names}; give data of the "
            "same classes, or name them in that order (of a devkit: dataset.class_names)."
        )
    output, files = _open_output(folder, experiment, split, data)
    check_batch_size(experiment.evaluation.batch_size, data_mesh())
    source = choose_checkpoint(folder, checkpoint)
    with waiting("reading the detector"):
        restored = restore(source, experiment, class_names)
    watch = Stopwatch()
    data, detections = _detect(restored, experiment, class_names, data, watch)

    truth = ground_truth_table(data.dataset)
    with watch.part("scoring"):
        summary = _summary(experiment, data, detections, truth)
    summary |= {"not_as_trained": changed, "split": getattr(experiment.splits, split), "checkpoint": source.name}
    if jax.process_index() == 0:
        _Results(output, files, experiment, data, detections, truth, summary, watch).write()
    return summary


def _folder(config: ConfigDict | None, workdir: str | None) -> Path:
    """Return the workdir or exported file to evaluate."""
    if workdir:
        return Path(workdir).resolve()
    if config is None:
        raise InputError("--workdir is missing; give the folder that train.py wrote, such as runs/faster_shapes.")
    return Path(parse(config.to_dict()).default_workdir).resolve()


@dataclasses.dataclass(frozen=True)
class _Files:
    """Names of results: PASCAL's, one per class; pictures; and those of an earlier evaluation that are removed."""

    comp4: list[str]
    pictures: list[str]
    outdated: list[str]


def _open_output(folder: Path, experiment: Experiment, split: str, data: Split) -> tuple[OutputFolder, _Files]:
    """Open the folder of the results and check that their names are free."""
    results = folder.with_suffix("") if folder.is_file() else folder
    output = OutputFolder(results / "evaluation" / split, cure="free it, or work on a copy")
    dataset = data.dataset
    comp4, outdated = comp4_files(_comp4_name(experiment, split), dataset.class_names), []
    if not data.annotated:
        comp4, outdated = [SERVER_FOLDER + file for file in comp4], [*comp4, GROUND_TRUTH, REPORT, REPORT_NUMBERS]
    pictures = _picture_files(dataset.names[: experiment.evaluation.pictures])
    names = [METRICS, DETECTIONS, GROUND_TRUTH, *comp4, *outdated, *pictures, ALL_PICTURES]
    if holds_metrics(output.folder):  # of a version that wrote no list of its results, and no report
        adopted = [name for name in names if name not in (REPORT, REPORT_NUMBERS)]
        output.adopt(adopted, write_list=jax.process_index() == 0)
    output.check([*names, REPORT, REPORT_NUMBERS])
    return output, _Files(comp4, pictures, outdated)


def _detect(
    restored: tuple[Detector, Params],
    experiment: Experiment,
    class_names: Sequence[str],
    data: Split,
    watch: Stopwatch,
) -> tuple[Split, DetectionTable]:
    """Detect on every image; return the split with the proposals used, and the detections to score."""
    mesh = data_mesh()
    detector, params = restored
    params, compiled = replicate(params, mesh), make_predict(detector.predict, mesh)
    data = data.with_proposals()
    sizes: set[tuple[int, ...]] = set()

    def predict(batch: Batch) -> Detections:
        if (size := batch.image.shape) in sizes:
            return compiled(params, shard_batch(batch, mesh))
        sizes.add(size)
        with watch.part("compilation, once per image size"):
            return compiled(params, shard_batch(batch, mesh))

    with watch.part("detection"), counting("detecting", total=len(data.dataset)) as finish:
        batches = watch.each("waiting for images", data.eval_batches())
        detections = detect_split(predict, batches, finish=finish)
    detections = clip_to_images(only_named(detections, class_names, UNUSED), data.dataset.image_sizes)
    mean = experiment.evaluation.detections_per_class
    return data, best_of_each_class(detections, images=len(data.dataset), mean=mean)


def _summary(
    experiment: Experiment, data: Split, detections: DetectionTable, truth: GroundTruthTable
) -> dict[str, Any]:
    """Return the metrics, or without annotations the numbers of images and detections."""
    dataset = data.dataset
    if not data.annotated:
        return {"images": len(dataset), "detections": len(detections.image)}
    at_threshold = experiment.evaluation.match_at_threshold
    summary = summarize(detections, truth, dataset.class_names, match_at_threshold=at_threshold)
    if data.proposals is not None:
        summary["proposals"] = proposal_recall(data.proposals, map(dataset.annotations, range(len(dataset))))
    return summary


@dataclasses.dataclass(frozen=True)
class _Results:
    """The results of an evaluation and the folder that they are written to."""

    output: OutputFolder
    files: _Files
    experiment: Experiment
    data: Split
    detections: DetectionTable
    truth: GroundTruthTable
    summary: dict[str, Any]
    watch: Stopwatch

    def write(self) -> None:
        """Print the table and write all files."""
        output, dataset, summary = self.output, self.data.dataset, self.summary
        for file in self.files.outdated:
            output.remove(file)
        if self.data.annotated:
            print_table(summary)
        with self.watch.part("result files"):
            write_metrics(output, summary)
            write_comp4(output, self.files.comp4, self.detections, dataset.names)
            objects = self.truth if self.data.annotated else None
            write_coco(output, self.detections, objects, dataset.names, dataset.image_sizes, dataset.class_names)
        with self.watch.part("pictures"):
            self._draw_pictures()
        log.info("metrics, result files and pictures: %s", output.folder)
        if self.data.annotated:
            self._write_report()
            log.info("report: %s", output.folder / REPORT)
        else:
            place = shlex.quote(str(output.folder))
            text = "no mAP: %s has no annotations; archive for PASCAL's server: cd %s && %s"
            log.info(text, summary["split"], place, TAR)

    def _write_report(self) -> None:
        """Write report.html and report.json; the worst images are read again."""
        dataset = self.data.dataset
        with self.watch.part("analysis of errors"):
            analysis = analyse(
                self.detections,
                self.truth,
                dataset.class_names,
                default_threshold=self._threshold,
                match_at_threshold=self.experiment.evaluation.match_at_threshold,
            )
        write_report(
            self.output,
            analysis,
            self.summary,
            self.truth,
            title=f"{self.output.folder.parents[1].name}: {self.summary['split']}",
            image_names=dataset.names,
            read_image=lambda i: dataset[i].image,
            seconds=self.watch.seconds,
        )

    def _draw_pictures(self) -> None:
        """Draw the first images with their likely detections and, dashed, the ground truth."""
        dataset, detections = self.data.dataset, self.detections
        pictures = []
        for i, file in enumerate(self.files.pictures):
            rows = (detections.image == i) & (detections.scores >= self._threshold)
            record = dataset[i]
            boxes, scores, labels = detections.boxes[rows], detections.scores[rows], detections.labels[rows]
            picture = visualize.draw(record.image, boxes, scores, labels, dataset.class_names, gt_boxes=record.boxes)
            self.output.write(file, visualize.encode_png(picture))
            pictures.append(picture)
        if pictures:
            self.output.write(ALL_PICTURES, visualize.encode_png(visualize.grid(pictures, 4)))

    @property
    def _threshold(self) -> float:
        """The minimum score of a likely detection."""
        return SYSTEMS[self.experiment.system].default_threshold(self.experiment)


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
