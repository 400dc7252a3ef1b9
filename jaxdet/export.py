"""Export of a trained detector to one file, .safetensors or .stablehlo, and a model card beside it."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

import jaxdet
from jaxdet.checks import InputError
from jaxdet.config import experiment_json, exported
from jaxdet.config.parse import parse
from jaxdet.config.schema import Experiment
from jaxdet.exporting import stablehlo
from jaxdet.io.atomic import atomic_write
from jaxdet.io.folder import unwritable
from jaxdet.io.safetensors import SUFFIX, write_safetensors
from jaxdet.load import choose_checkpoint, restore
from jaxdet.systems import build_detector, check_params
from jaxdet.training.restore import read_metadata, restore_params
from jaxdet.training.state import flatten
from jaxdet.types import Params

log = logging.getLogger(__name__)


def export(workdir: str | None, to: str | None, *, checkpoint: str | int = "best", batch_size: int = 1) -> None:
    """Write a detector to one file, and a model card beside it.

    A .safetensors file holds the parameters, config, class names and measured mAP. load_detector, predict, evaluate and
    training.init_from take it in place of a workdir. It holds no optimiser: training starts from it, but does not
    resume. A .stablehlo file holds programs that detect without jaxdet, see exporting.stablehlo.

    Args:
      workdir: a workdir, one of its checkpoints, or an exported .safetensors file.
      to: the new file; its name ends with .safetensors or .stablehlo. The card has its name and .md.
      checkpoint: 'best', 'last' or a saved step.
      batch_size: images per call of a .stablehlo program.

    Raises:
      InputError: no such workdir or checkpoint; the file or the card exists, or cannot be written; the detector cannot
        be exported to .stablehlo, see check_stablehlo.
    """
    if not workdir or not to:
        raise InputError("a workdir and --to must be given, as in: jaxdet export runs/x --to=detector.safetensors.")
    path = Path(to)
    card = path.with_name(f"{path.name}.md")
    _check_new(path, card)
    source_folder = experiment_json.run_folder(Path(workdir))
    config, class_names = experiment_json.read(source_folder)
    experiment = parse(config)
    if path.suffix == stablehlo.SUFFIX:
        stablehlo.check_stablehlo(experiment, batch_size)
    source = choose_checkpoint(Path(workdir), checkpoint)
    metrics = _metrics(source_folder, source)
    try:
        if path.suffix == stablehlo.SUFFIX:
            params = _write_programs(path, source, experiment, class_names, batch_size)
        else:
            metadata = exported.describe(config, class_names, metrics, jaxdet.__version__)
            params = _write_params(path, source, experiment, class_names, metadata)
        with atomic_write(card) as file:
            file.write(_card(path, experiment, class_names, metrics).encode())
    except OSError as error:
        raise unwritable(path, error, cure="name another file with --to") from error
    log.info("%d parameters -> %s, described in %s", sum(leaf.size for leaf in flatten(params).values()), path, card)


def _check_new(path: Path, card: Path) -> None:
    """Raise InputError unless the file has a known suffix and neither it nor its card exists."""
    if path.suffix not in (SUFFIX, stablehlo.SUFFIX):
        onnx = " (jax2onnx does not convert detection to ONNX: see docs/weights.md)" if path.suffix == ".onnx" else ""
        raise InputError(
            f"--to must end with {SUFFIX} or {stablehlo.SUFFIX}, got {path}{onnx}; name a file with such an ending."
        )
    for new in (path, card):
        if new.exists():
            raise InputError(f"--to must name new files, got {new}, which exists; name another.")


def _write_params(
    path: Path, source: Path, experiment: Experiment, class_names: tuple[str, ...], metadata: dict[str, str]
) -> Params:
    """Write a checkpoint's parameters as .safetensors with metadata, and return them."""
    params = restore_params(source)
    check_params(params, build_detector(experiment, class_names), f"checkpoint {source}")
    arrays = {name: np.asarray(leaf) for name, leaf in flatten(params).items()}
    write_safetensors(path, arrays, metadata)
    return params


def _write_programs(
    path: Path, source: Path, experiment: Experiment, class_names: tuple[str, ...], batch_size: int
) -> Params:
    """Write a checkpoint's programs as .stablehlo, and return its parameters."""
    detector, params = restore(source, experiment, class_names)
    options: dict[str, Any] = {"version": jaxdet.__version__, "batch_size": batch_size}
    stablehlo.write_stablehlo(path, detector, params, experiment, class_names, **options)
    return params


def _metrics(workdir: Path, source: Path) -> dict[str, Any]:
    """Return the validation mAP of a checkpoint and what evaluate.py measured of it, by split; {} where nothing was.

    An exported file keeps what was measured before its export.
    """
    metrics = exported.read_metrics(workdir) if workdir.is_file() else {}
    results = workdir.with_suffix("") if workdir.is_file() else workdir
    if (validation := read_metadata(source).get("val_map")) is not None:
        metrics["validation"] = {"voc10": validation}
    for file in sorted(results.glob("evaluation/*/metrics.json")):
        try:
            measured = json.loads(file.read_text(encoding="utf-8"))
            if measured["checkpoint"] == source.name and not measured["not_as_trained"]:
                metrics[file.parent.name] = measured["mAP"] | measured["coco"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("left out %s, which is not what evaluate.py wrote (%s)", file, error)
    return metrics


def _card(path: Path, experiment: Experiment, class_names: tuple[str, ...], metrics: dict[str, Any]) -> str:
    """Return the model card, in Markdown."""
    net, training, sides = experiment.net, experiment.training, experiment.input
    start = training.init_from or training.pretrained or "random weights"
    rows = [
        f"| {split} | {metric} | {value:.4f} |"
        for split, values in metrics.items()
        for metric, value in values.items()
        if isinstance(value, int | float)
    ]
    measured = ["| split | metric | value |", "|---|---|---|", *rows] if rows else ["Nothing has been measured."]
    if path.suffix == SUFFIX:
        contents = "(safetensors; its metadata holds the config and the class names)"
        use = [
            "```python",
            "import jaxdet",
            "",
            f'detector = jaxdet.load_detector("{path.name}")',
            "detections = detector(image)  # u8[H,W,3] RGB -> boxes, scores, labels, class_names",
            "```",
        ]
    else:
        contents = "(programs in StableHLO for CPU, CUDA and TPU, with their parameters, in a numpy archive)"
        use = ["jax and numpy run it without jaxdet: docs/weights.md of jaxdet has the lines."]
    return "\n".join(
        [
            f"# {experiment.name}",
            "",
            f"An object detector for photos, trained with jaxdet {jaxdet.__version__}.",
            "",
            f"- **File**: `{path.name}` {contents}",
            f"- **System**: {experiment.system}, {net.backbone}, width {net.width:g}",
            f"- **Classes** ({len(class_names)}): {', '.join(class_names)}",
            f"- **Input**: short side {sides.short_side}, long side at most {sides.long_side} pixels; "
            f"preprocessing {net.preprocessing}",
            f"- **Started from**: {start}; trained on split `{experiment.splits.train}`",
            "",
            "## Measured",
            "",
            *measured,
            "",
            "## Use",
            "",
            *use,
            "",
            "## Limits",
            "",
            "It finds the classes above in photos like those it was trained on. Scores are not calibrated.",
            "",
        ]
    )
