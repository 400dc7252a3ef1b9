"""Building, training, evaluating and using a detector from a config: the one module that knows all the others.

A workdir holds experiment.json (the config and the class names), checkpoints/, metrics.jsonl, tensorboard/ and, once
evaluated, evaluation/<split>/.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxdet import photos, sections, visualize
from jaxdet import workdir as workdirs
from jaxdet.checks import InputError, bind, nearest
from jaxdet.data.dataset import Dataset, open_split
from jaxdet.data.pipeline import eval_batches, photo_batch, train_batches
from jaxdet.data.shapes import prepare_shapes
from jaxdet.data.voc import prepare_devkit
from jaxdet.data.voc_splits import open_voc
from jaxdet.evaluation.coco_json import write_coco
from jaxdet.evaluation.predict import detect_split, ground_truth_table
from jaxdet.evaluation.report import print_table, summarize, write_comp4, write_metrics
from jaxdet.evaluation.tables import DetectionTable
from jaxdet.evaluation.voc_ap import average_precision, mean_ap
from jaxdet.models.detector import Detector, Params
from jaxdet.models.faster_rcnn import faster_rcnn
from jaxdet.nets.region_net import STRIDE, region_net
from jaxdet.ops.anchors import base_anchors
from jaxdet.starting import settle, starting_params
from jaxdet.training import loop, state
from jaxdet.training.checkpoints import has_checkpoint, restore_params
from jaxdet.training.lock import locked
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.sharding import check_batch_size, data_mesh, replicate, shard_batch
from jaxdet.training.stages import Stage, init_params
from jaxdet.training.step import make_train_step
from jaxdet.types import Batch, Detections

log = logging.getLogger(__name__)

DATASETS = {"shapes": prepare_shapes, "devkit": prepare_devkit, "voc": open_voc}


def build_detector(config: ConfigDict, class_names: tuple[str, ...]) -> Detector:
    """The detector of a config, for the classes of a data set (without the background)."""
    anchors = bind(base_anchors, config.anchors, section="anchors", stride=STRIDE)()
    sizes = {"num_classes": len(class_names), "num_anchors": len(anchors)}
    net = bind(region_net, config.net, section="net", **sizes)()
    return bind(faster_rcnn, config.model, section="model")(net, anchors)


def open_dataset(config: ConfigDict, part: str) -> Dataset:
    """The split that config.splits names for `part` ('train', 'validation', 'test'), prepared where it is not yet."""
    fields = config.dataset.to_dict()
    kind = fields.pop("kind")
    if kind not in DATASETS:
        raise InputError(f"dataset.kind: no {kind!r}; {nearest(kind, DATASETS)}")
    split = config.splits[part]
    if not split:
        raise InputError(f"splits.{part} is empty; name a split, or set training.eval_every=0 to train without any.")
    if kind == "voc":
        return bind(open_voc, fields, section="dataset", split=split)()
    if kind == "devkit":
        fields["splits"] = tuple(dict.fromkeys(name for name in config.splits.values() if name))
    return open_split(bind(DATASETS[kind], fields, section="dataset")(), split)


def train(config: ConfigDict, workdir: str | None) -> None:
    """Trains as the config says, going on from the workdir's newest checkpoint where there is one.

    Raises:
      InputError: a mistake in the config or the data; a workdir in use, of another config, or not writable.
    """
    start()
    sections.check(config)
    with locked(workdir or _default_workdir(config)) as workdir:
        config = settle(config, workdir)
        training, mesh = config.training, data_mesh()
        check_batch_size(training.batch_size, mesh, accumulate=training.accumulate)
        dataset = open_dataset(config, "train")
        detector = build_detector(config, dataset.class_names)
        tx, learning_rate = bind(make_optimizer, config.optim, section="optim", steps=training.steps)()
        stage = Stage(
            name="joint",
            trainable=_trainable(training.frozen, detector),
            steps=training.steps,
            learning_rate=learning_rate,
        )
        plan = {"batch_size": training.batch_size, "seed": config.seed, "start_step": 0}
        batches = bind(train_batches, config.input, section="input", **plan, **_rows())
        validate = _validation(config, detector, mesh) if training.eval_every else None
        # A run that goes on has its parameters in its own checkpoint; what it once started from may be gone.
        source = None if has_checkpoint(workdir) else starting_params(config)
        fresh = _fresh_state(detector, tx, stage, config.seed, source)
        if jax.process_index() == 0:
            workdirs.claim(workdir, config, dataset.class_names, dataset.fingerprint)
        loop.run(
            stage,
            replicate(fresh, mesh),
            make_train_step(detector.loss, tx, mesh, accumulate=training.accumulate),
            lambda step: batches(dataset, start_step=step),
            put=lambda batch: shard_batch(batch, mesh),
            workdir=workdir,
            image_names=dataset.names,
            evaluate=validate,
            log_every=training.log_every,
            eval_every=training.eval_every,
            checkpoint_every=training.checkpoint_every,
            keep=training.keep,
        )
        log.info("done; next: python evaluate.py --workdir=%s", workdir)


def evaluate(config: ConfigDict | None, workdir: str | None, *, part: str, checkpoint: str) -> dict:
    """Scores a trained detector and returns evaluation.report.summarize's figures.

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
    dataset = open_dataset(config, part)
    if dataset.class_names != class_names:
        raise InputError(f"classes: {folder} was trained on {class_names}, the data has {dataset.class_names}.")
    output = workdirs.make_folder(folder / "evaluation" / part)
    mesh = data_mesh()
    detector, params = _restore(folder, checkpoint, config, class_names)
    params, detect = replicate(params, mesh), jax.jit(detector.predict)
    found = detect_split(lambda batch: detect(params, shard_batch(batch, mesh)), _eval_batches(config, dataset))
    truth = ground_truth_table(dataset)
    summary = summarize(found, truth, class_names)
    if jax.process_index() == 0:
        print_table(summary)
        write_metrics(output / "metrics.json", summary)
        write_comp4(output, _comp4_name(config, part), found, dataset.names, class_names)
        write_coco(output, found, truth, dataset.names, dataset.image_sizes, class_names)
        _draw_pictures(output / "pictures", dataset, found, count=config.evaluation.pictures)
        log.info("figures, result files and pictures: %s", output)
    return summary


def predict(workdir: str | None, files: list[str], *, output: str, threshold: float, checkpoint: str) -> None:
    """Draws detections on photos and lists them in output/detections.json; see photos.annotate.

    Raises:
      InputError: no such workdir or checkpoint; no photo given, or none that can be read.
    """
    start()
    folder = _existing(workdir, None)
    config, class_names = workdirs.read(folder)
    found = photos.find(files)
    detector, params = _restore(folder, checkpoint, config, class_names)
    detect = jax.jit(detector.predict)
    sides = {"short_side": config.input.short_side, "long_side": config.input.long_side}
    photos.annotate(
        found, lambda image: detect(params, photo_batch(image, **sides)), class_names, Path(output), threshold=threshold
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


def _restore(
    folder: Path, checkpoint: str, config: ConfigDict, class_names: tuple[str, ...]
) -> tuple[Detector, Params]:
    """A workdir's detector and parameters, on the device; InputError where they do not fit each other."""
    params = restore_params(folder, "best" if checkpoint == "best" else None)
    detector = build_detector(config, class_names)
    check_fit(params, detector, f"checkpoint in {folder}")
    return detector, jax.device_put(params)


def check_fit(params: Params, detector: Detector, what: str) -> None:
    """Raises InputError where `params`, which came from `what`, are not of the detector's shapes."""
    got, wanted = (
        {path: leaf.shape for path, leaf in state.flatten(tree).items()} for tree in (params, _shapes(detector))
    )
    wrong = [f"{path} {got.get(path)} for {shape}" for path, shape in wanted.items() if got.get(path) != shape]
    if wrong:
        raise InputError(f"{what} does not fit the config ({'; '.join(wrong[:3])}); give the one it had.")


def _shapes(detector: Detector) -> Params:
    return jax.eval_shape(detector.init, jax.random.key(0))


def _fresh_state(detector, tx, stage: Stage, seed: int, source: Params | None) -> state.TrainState:
    """The state before the first step."""
    key = jax.random.key(seed)
    params = init_params(detector, jax.random.fold_in(key, 0), source)
    return state.create(params, tx, jax.random.fold_in(key, 1), trainable=stage.trainable)


def _trainable(frozen: Sequence[str], detector: Detector) -> Callable[[str], bool]:
    """Says of a parameter's path whether it learns: not if it starts with one of the names in `frozen`."""
    layers = _shapes(detector)
    for name in frozen:
        if not any(path.startswith(name) for path in state.flatten(layers)):
            raise InputError(f"training.frozen: no layer {name!r}; {nearest(name, layers)}")
    return lambda path: not path.startswith(tuple(frozen))


def _eval_batches(config: ConfigDict, dataset: Dataset) -> Iterator[Batch]:
    check_batch_size(config.evaluation.batch_size, data_mesh())
    fields = {name: value for name, value in config.input.items() if name != "flip"}
    return bind(eval_batches, fields, section="input", batch_size=config.evaluation.batch_size, **_rows())(dataset)


def _rows() -> dict[str, int]:
    return {"process_index": jax.process_index(), "process_count": jax.process_count()}


def _validation(config: ConfigDict, detector: Detector, mesh: Mesh) -> Callable[[Params, int], dict[str, float]]:
    """(params, step) -> val_loss (the training loss, with the same draws each time) and val_map (VOC10, IoU 0.5)."""
    check_batch_size(config.evaluation.batch_size, mesh)
    dataset = open_dataset(config, "validation")
    truth = ground_truth_table(dataset)

    @jax.jit
    def run(params, batch):
        loss, _ = detector.loss(params, batch, jax.random.key(0))
        return detector.predict(params, batch), loss, jnp.sum(batch.image_valid)

    def evaluate(params: Params, step: int) -> dict[str, float]:
        losses = []

        def predict(batch: Batch) -> Detections:
            found, loss, images = run(params, shard_batch(batch, mesh))
            losses.append((loss, images))
            return found

        found = detect_split(predict, _eval_batches(config, dataset))
        per_class = average_precision(found, truth, num_classes=len(dataset.class_names), metric="voc10")
        loss, images = np.array(jax.device_get(losses)).T
        return {"val_loss": float(np.average(loss, weights=images)), "val_map": mean_ap(per_class)}

    return evaluate


def _comp4_name(config: ConfigDict, part: str) -> str:
    """The split as the official devkit names it: 'test' for '2007/test'; a sum or slice has no such name."""
    split = config.splits[part]
    if {"+", "["} & set(split):
        return part
    name = split.rpartition("/")[2]
    return "val" if config.dataset.kind == "voc" and name == "validation" else name


def _draw_pictures(folder: Path, dataset: Dataset, found: DetectionTable, *, count: int) -> None:
    """Draws the first `count` images with their detections of score >= 0.5 and, dashed, the ground truth."""
    drawn = []
    for i in range(min(count, len(dataset))):
        rows = (found.image == i) & (found.scores >= 0.5)
        record = dataset[i]
        things = found.boxes[rows], found.scores[rows], found.labels[rows]
        drawn.append(visualize.draw(record.image, *things, dataset.class_names, gt_boxes=record.boxes))
        visualize.save_image(folder / f"{record.name}.png", drawn[-1])
    if drawn:
        visualize.save_image(folder / "all.png", visualize.grid(drawn, 4))
