"""experiment.json: which config and which classes a workdir belongs to."""

import json
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxdet.checks import InputError
from jaxdet.io.atomic import atomic_write
from jaxdet.io.folder import make_writable

NAME = "experiment.json"


def claim(workdir: Path, config: ConfigDict, class_names: tuple[str, ...], images: str) -> None:
    """Writes experiment.json in a workdir without checkpoints; in one with checkpoints checks that nothing differs.

    Raises:
      InputError: the workdir belongs to another config, other classes or other training images (`images`, the
        fingerprint of the training split); names what differs.
    """
    ours = _plain({"config": config.to_dict(), "class_names": class_names, "images": images})
    path = workdir / NAME
    if is_trained(workdir):
        differences = _differences(_load(path), ours)
        if differences:
            raise InputError(
                f"workdir {workdir} holds another experiment: {'; '.join(differences)}; give another --workdir "
                f"(to start from its weights: --config.training.init_from={workdir})."
            )
        return
    with atomic_write(path) as file:
        file.write(f"{json.dumps(ours, indent=1)}\n".encode())


def is_trained(workdir: Path) -> bool:
    """Tells whether training has left something to go on from, if only a stage's checkpoint or R-CNN's features."""
    return any(any(workdir.glob(left)) for left in ("checkpoints/*", "stages/*/checkpoints/*", "stages/2_features/*"))


def read(workdir: Path) -> tuple[ConfigDict, tuple[str, ...]]:
    """The config and the class names that a workdir was trained with.

    Raises:
      InputError: it is no workdir of train.py.
    """
    path = workdir / NAME
    if not workdir.is_dir():
        raise InputError(f"--workdir: there is no folder {workdir}; give one that train.py wrote.")
    stored = _load(path)
    return ConfigDict(_tuples(stored["config"])), tuple(stored["class_names"])


def differences(workdir: Path, config: ConfigDict) -> list[str]:
    """In which fields a config is not the one that a workdir was trained with: "config.seed is 0 there and 1 here"."""
    return _differences(_load(workdir / NAME)["config"], _plain(config.to_dict()), "config")


def make_folder(path: Path) -> Path:
    """Makes a folder to write results into, before the work that leads to them; InputError where that cannot be."""
    return make_writable(path, cure="free it, or work on a copy")


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputError(f"--workdir: {path.parent} has no {NAME}; give a folder that train.py wrote.")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(
            f"{path} is not what train.py wrote ({error}); restore it or give another --workdir."
        ) from error


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: tuples become lists."""
    return json.loads(json.dumps(value))


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _differences(theirs: Any, ours: Any, name: str = "") -> list[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        fields = sorted(theirs.keys() | ours.keys())
        return [d for f in fields for d in _differences(theirs.get(f), ours.get(f), f"{name}.{f}" if name else f)]
    return [] if theirs == ours else [f"{name} is {theirs!r} there and {ours!r} here"]
