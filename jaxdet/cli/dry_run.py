"""A dry run: two steps of a training, with validation, saving and evaluation, in a folder that is removed."""

import datetime
import json
import tempfile
from collections.abc import Collection
from pathlib import Path

from ml_collections import ConfigDict

from jaxdet.checks import InputError
from jaxdet.evaluate import evaluate
from jaxdet.train import train

STEPS = 2
IMAGES = 16  # of each split, at most


def dry_run(config: ConfigDict, *, overridden: Collection[str]) -> None:
    """Try everything that a training will do on a few images, and print what worked and how long it will take.

    Args:
      overridden: see jaxdet.train.train.

    Raises:
      InputError: training has stages, which are too short to try; or whatever the training would raise.
    """
    if "stages" in config or config.system == "rcnn" or config.head.get("scoring") == "svm":
        raise InputError("--dry_run needs a training in one stage, got one with stages; try it with a few steps.")
    done = [f"{STEPS} steps", "saving"]
    with tempfile.TemporaryDirectory(prefix="jaxdet-dry-run-") as folder:
        workdir = str(Path(folder) / "run")
        train(_shortened(config), workdir, overridden=overridden, images=IMAGES)
        part = "validation" if config.training.eval_every else "test"
        if config.splits[part]:
            evaluate(None, workdir, split=part, checkpoint="last", images=IMAGES)
            done += [*(["validation"] if config.training.eval_every else []), f"evaluation of the {part} split"]
        seconds = _seconds_per_step(Path(workdir) / "metrics.jsonl", config.training.batch_size)
    print(f"dry run: {', '.join(done)} worked, on at most {IMAGES} images, in a folder that is removed")
    print(_expectation(config, seconds))


def _shortened(config: ConfigDict) -> ConfigDict:
    """Return the config with two steps, each reported, and one validation if it has any."""
    short = ConfigDict(config.to_dict())
    lengths = {"steps": STEPS, "epochs": 0.0, "reference_batch_size": 0, "patience": 0, "max_hours": 0.0}
    often = {"log_every": 1, "checkpoint_every": 1, "eval_every": STEPS if config.training.eval_every else 0}
    short.training.update(lengths | often | {"profile": (0, 0)})
    short.optim.update({"warmup_steps": 0, "boundaries": ()})
    short.evaluation.pictures = 1
    return short


def _seconds_per_step(metrics: Path, batch_size: int) -> float:
    """Return the time of the last step."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    speed = [line["time"]["images_per_second"] for line in lines if line["split"] == "train"][-1]
    return batch_size / speed


def _expectation(config: ConfigDict, seconds: float) -> str:
    training = config.training
    if training.epochs:
        return f"expected: {seconds:.3g} s per step of {training.batch_size} images, without compilation and validation"
    factor = training.batch_size / training.reference_batch_size if training.reference_batch_size else 1.0
    steps = max(round(training.steps / factor), 1)
    left = datetime.timedelta(seconds=round(seconds * steps))
    return f"expected: {steps} steps of {seconds:.3g} s, {left} altogether, without compilation and validation"
