"""Training, evaluating and using a detector from a config.

A workdir holds experiment.json (the config and the class names), checkpoints/, metrics.jsonl, tensorboard/ and, once
evaluated, evaluation/<split>/. Where training has several stages, stages/<name>/ holds the same of each, and
checkpoints/ the detector that came out of them.
"""

import logging
from pathlib import Path

import jax
from ml_collections import ConfigDict

from jaxdet import photos, sections, visualize
from jaxdet import workdir as workdirs
from jaxdet.alternating import train_alternating
from jaxdet.building import (
    build_detector,
    check_fit,
    eval_batches_of,
    open_dataset,
    photo_batch_of,
    proposals_of,
    score_threshold,
)
from jaxdet.checks import InputError
from jaxdet.data.dataset import PreparedDataset as Dataset
from jaxdet.evaluation.coco_json import write_coco
from jaxdet.evaluation.detect import detect_split, ground_truth_table
from jaxdet.evaluation.recall import proposal_recall
from jaxdet.evaluation.report import print_table, summarize, write_comp4, write_metrics
from jaxdet.evaluation.tables import DetectionTable, best_of_each_class
from jaxdet.fitting import Split, check_training, learning, normalised, run_stage, starting_from
from jaxdet.io.lock import locked
from jaxdet.models.detector import Detector
from jaxdet.nets.svd import compress
from jaxdet.rcnn_stages import train_rcnn
from jaxdet.starting import settle
from jaxdet.training.restore import find_checkpoint, restore_params
from jaxdet.training.sharding import data_mesh, replicate, shard_batch
from jaxdet.types import Params

log = logging.getLogger(__name__)


def train(config: ConfigDict, workdir: str | None) -> None:
    """Trains as the config says, going on from the workdir's newest checkpoint where there is one.

    Raises:
      InputError: a mistake in the config or the data; a workdir in use, of another config, or not writable.
    """
    start()
    sections.check(config)
    if config.system == "rcnn" and jax.process_count() > 1:  # its second half runs on one host
        raise InputError(f"R-CNN must be trained by one process, got {jax.process_count()}; leave --distributed away.")
    with locked(workdir or _default_workdir(config)) as workdir:
        config = settle(config, workdir)
        dataset = open_dataset(config, "train")
        detector = build_detector(config, dataset.class_names)
        for stage in sections.stage_configs(config):
            check_training(stage, detector, dataset, workdir)
        validation = open_dataset(config, "validation") if config.training.eval_every else None
        if jax.process_index() == 0:
            workdirs.claim(workdir, config, dataset.class_names, dataset.fingerprint)
        if "stages" in config:
            train_alternating(config, workdir, dataset, validation)
        else:
            splits = [split and (split, proposals_of(config, split)) for split in (dataset, validation)]
            (train_rcnn if config.system == "rcnn" else _train_at_once)(config, workdir, *splits)
        log.info("done; next: python evaluate.py --workdir=%s", workdir)


def _train_at_once(config: ConfigDict, workdir: Path, data: Split, validation: Split | None) -> None:
    """Joint training of Faster R-CNN, or Fast R-CNN on its proposals."""
    dataset, proposals = data
    detector = build_detector(config, dataset.class_names)

    def begin(fresh: Params) -> Params:
        params = starting_from(config, fresh)
        return params if proposals is None else normalised(params, config, data)

    run_stage(
        config,
        detector,
        data,
        name="joint" if proposals is None else "fast_rcnn",
        folder=workdir,
        start=begin,
        learns=learning(config.training.frozen, detector),
        validation=validation,
    )


def evaluate(config: ConfigDict | None, workdir: str | None, *, part: str, checkpoint: str) -> dict:
    """Scores a trained detector and returns what metrics.json gets: evaluation.report.summarize's figures, the split
    and the checkpoint scored, what is not as it was trained and, for a detector that is given boxes, their recall.

    Prints a table and leaves metrics.json, PASCAL's and COCO's result files and pictures in workdir/evaluation/<part>/.

    Args:
      config: stands in for the workdir's own, for other data or thresholds; None for the workdir's.
      part: 'train', 'validation' or 'test': which of config.splits.
      checkpoint: 'best' (by validation mAP; the last where none was validated) or 'last'.

    Raises:
      InputError: no such workdir, checkpoint or split; other classes than those trained on.
    """
    start()
    folder = _existing(workdir, config)
    trained, class_names = workdirs.read(folder)
    config = config or trained
    sections.check(config)
    config = settle(config, folder)
    changed = workdirs.differences(folder, config)
    if changed:
        log.info("not as it was trained: %s", "; ".join(changed))
    dataset = open_dataset(config, part)
    if dataset.class_names != class_names:
        raise InputError(
            f"classes: {folder} was trained on {class_names}, the data has {dataset.class_names}; give data of the "
            "same classes, or name them in that order (of a devkit: dataset.class_names)."
        )
    output = workdirs.make_folder(folder / "evaluation" / part)
    mesh = data_mesh()
    source = _checkpoint(folder, checkpoint)
    detector, params = _restore(source, config, class_names)
    params, detect = replicate(params, mesh), jax.jit(detector.predict)
    truth, proposals = ground_truth_table(dataset), proposals_of(config, dataset)
    batches = eval_batches_of(config, dataset, proposals)
    found = detect_split(lambda batch: detect(params, shard_batch(batch, mesh)), batches)
    found = best_of_each_class(found, images=len(dataset), mean=config.evaluation.detections_per_class)
    scored = {"not_as_trained": changed, "split": config.splits[part], "checkpoint": source.name}
    summary = summarize(found, truth, class_names) | scored
    if proposals is not None:
        summary["proposals"] = proposal_recall(proposals, map(dataset.annotations, range(len(dataset))))
    if jax.process_index() == 0:
        print_table(summary)
        write_metrics(output / "metrics.json", summary)
        write_comp4(output, _comp4_name(config, part), found, dataset.names, class_names)
        write_coco(output, found, truth, dataset.names, dataset.image_sizes, class_names)
        _draw_pictures(output / "pictures", dataset, found, config)
        log.info("figures, result files and pictures: %s", output)
    return summary


def predict(workdir: str | None, files: list[str], *, output: str, threshold: float | None, checkpoint: str) -> None:
    """Draws detections on photos and lists them in output/detections.json; see photos.annotate.

    Without a threshold it is 0.5, and 0 for the scores of R-CNN's SVMs.

    Raises:
      InputError: no such workdir or checkpoint; no photo given, or none that can be read.
    """
    start()
    folder = _existing(workdir, None)
    config, class_names = workdirs.read(folder)
    found = photos.find(files)
    sections.check(config)
    detector, params = _restore(_checkpoint(folder, checkpoint), config, class_names)
    detect = jax.jit(detector.predict)
    photos.annotate(
        found,
        lambda image: detect(params, photo_batch_of(config, image)),
        class_names,
        Path(output),
        threshold=score_threshold(config) if threshold is None else threshold,
    )


def start() -> None:
    """Logging to the terminal, and compiled programs kept between runs."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    for noisy in ("absl", "jax", "orbax"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(Path("~/.cache/jaxdet/xla").expanduser()))


def _default_workdir(config: ConfigDict) -> str:
    return f"runs/{config.name}"


def _existing(workdir: str | None, config: ConfigDict | None) -> Path:
    if not workdir and config is None:
        raise InputError("--workdir is missing; give the folder that train.py wrote, such as runs/faster_shapes.")
    return Path(workdir or _default_workdir(config)).expanduser().resolve()


def _checkpoint(folder: Path, checkpoint: str) -> Path:
    """The checkpoint that --checkpoint asks for; says which one that is, for a run may still be training."""
    source = find_checkpoint(folder, "best" if checkpoint == "best" else None)
    log.info("checkpoint: %s", source)
    return source


def _restore(source: Path, config: ConfigDict, class_names: tuple[str, ...]) -> tuple[Detector, Params]:
    """A checkpoint's detector and parameters, on the device; InputError where they do not fit each other."""
    params = restore_params(source)
    if config.system == "rcnn" and not config.linear.bbox_regression:
        params.pop("bbox_ridge", None)
    elif config.system == "rcnn" and "bbox_ridge" not in params:
        raise InputError(
            f"linear.bbox_regression must be False for {source}, got True: it has no box regressors; "
            "pass --config.linear.bbox_regression=False."
        )
    check_fit(params, build_detector(config, class_names), f"checkpoint {source}")
    ranks = config.evaluation.svd_ranks
    params = compress(params, {name: rank for name, rank in zip(("fc6", "fc7"), ranks, strict=True) if rank})
    return build_detector(config, class_names, svd_ranks=ranks), jax.device_put(params)


def _comp4_name(config: ConfigDict, part: str) -> str:
    """The split as the official devkit names it: 'test' for '2007/test'; a sum or slice has no such name."""
    split = config.splits[part]
    if {"+", "["} & set(split):
        return part
    name = split.rpartition("/")[2]
    return "val" if config.dataset.kind == "voc" and name == "validation" else name


def _draw_pictures(folder: Path, dataset: Dataset, found: DetectionTable, config: ConfigDict) -> None:
    """Draws the first images with their detections that are likely and, dashed, the ground truth."""
    drawn = []
    for i in range(min(config.evaluation.pictures, len(dataset))):
        rows = (found.image == i) & (found.scores >= score_threshold(config))
        record = dataset[i]
        things = found.boxes[rows], found.scores[rows], found.labels[rows]
        drawn.append(visualize.draw(record.image, *things, dataset.class_names, gt_boxes=record.boxes))
        visualize.save_image(folder / f"{record.name}.png", drawn[-1])
    if drawn:
        visualize.save_image(folder / "all.png", visualize.grid(drawn, 4))
