"""experiment.json: the config, the classes and the training images that a workdir belongs to."""

import json
from pathlib import Path
from typing import Any

from jaxdet.checks import InputError
from jaxdet.config.translate import FORMAT, translate
from jaxdet.io.atomic import atomic_write

NAME = "experiment.json"


def claim(workdir: Path, config: dict[str, Any], class_names: tuple[str, ...], images: str) -> None:
    """Write experiment.json in a workdir without checkpoints; in one with checkpoints check that nothing differs.

    Args:
      config: the experiment as a nested dict.
      images: fingerprint of the training split.

    Raises:
      InputError: the workdir belongs to another config, other classes or other training images; names what differs.
    """
    ours = {"format": FORMAT, "config": config, "class_names": class_names, "images": images}
    ours = json.loads(json.dumps(ours))  # tuples become lists, as in the file
    path = workdir / NAME
    if is_trained(workdir):
        differing = _differences(_load(path), ours)
        if differing:
            raise InputError(
                f"workdir {workdir} holds another experiment: {'; '.join(differing)}; give another --workdir "
                f"(to start from its weights: --config.training.init_from={workdir})."
            )
        return
    with atomic_write(path) as file:
        file.write(f"{json.dumps(ours, indent=1)}\n".encode())


def is_trained(workdir: Path) -> bool:
    """Return whether training can resume in a workdir, if only from a stage's checkpoint or R-CNN's features."""
    return any(any(workdir.glob(left)) for left in ("checkpoints/*", "stages/*/checkpoints/*", "stages/2_features/*"))


def read(workdir: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the config and the class names that a workdir was trained with, in the present format.

    Raises:
      InputError: the folder is not a workdir of train.py, or its version cannot be translated.
    """
    if not workdir.is_dir():
        raise InputError(f"--workdir: there is no folder {workdir}; give one that train.py wrote.")
    stored = _load(workdir / NAME)
    return _with_tuples(stored["config"]), tuple(stored["class_names"])


def run_folder(path: Path) -> Path:
    """Return the workdir at a path, or the workdir of the checkpoint at a path, as in runs/demo/checkpoints/2200."""
    path = path.expanduser().resolve()
    return path.parents[1] if not (path / NAME).exists() and path.parent.name == "checkpoints" else path


def differences(trained: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """Return in which fields two configs differ, as in "config.seed is 0 there and 1 here"."""
    return _differences(json.loads(json.dumps(trained)), json.loads(json.dumps(config)), "config")


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputError(f"--workdir: {path.parent} has no {NAME}; give a folder that train.py wrote.")
    try:
        stored = translate(json.loads(path.read_text(encoding="utf-8")), path)
        for name, content_type in (("config", dict), ("class_names", list)):
            if not isinstance(stored[name], content_type):
                raise TypeError(f"{name} must be a {content_type.__name__}")
        return stored
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not what train.py wrote ({error}); restore it or give another --workdir."
        ) from error


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_tuples(item) for name, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _differences(theirs: Any, ours: Any, name: str = "") -> list[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        fields = sorted(theirs.keys() | ours.keys())
        return [d for f in fields for d in _differences(theirs.get(f), ours.get(f), f"{name}.{f}" if name else f)]
    return [] if theirs == ours else [f"{name} is {theirs!r} there and {ours!r} here"]
