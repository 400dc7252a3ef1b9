"""experiment.json: the config, the classes and the images that a workdir belongs to."""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from jaxdet.checks import InputError
from jaxdet.config import exported
from jaxdet.config.fields import CONTINUES, MAY_CHANGE
from jaxdet.config.schema import all_fields
from jaxdet.config.translate import FORMAT, check_format, translate
from jaxdet.io.atomic import atomic_write
from jaxdet.io.folder import unwritable

NAME = "experiment.json"
CONTENT = {"format", "config", "class_names", "images", "validation_images", "changes"}
FINGERPRINTS = {
    "images": "fingerprint of the training images",
    "validation_images": "fingerprint of the validation images",
}
FREE_FIELDS = frozenset(path for path, hint, _ in all_fields() if MAY_CHANGE in hint.__metadata__)
CONTINUED_FIELDS = frozenset(path for path, hint, _ in all_fields() if CONTINUES in hint.__metadata__)
DEFAULTS = {path: field.default for path, _, field in all_fields() if field.default is not dataclasses.MISSING}
PATHS = frozenset(f"config.{path}" for path, hint, _ in all_fields() if Path in hint.__metadata__)


def claim(
    workdir: Path,
    config: dict[str, Any],
    class_names: tuple[str, ...],
    images: str,
    validation_images: str = "",
    *,
    steps: float = math.inf,
) -> list[str]:
    """Write experiment.json; in a workdir with checkpoints, only if nothing differs that could change the result.

    A training in one stage may continue with other values of CONTINUED_FIELDS: the file records in "changes" from which
    step on. Return these changes as text, as in "config.training.steps=3000 (before: 2000)".

    Args:
      config: the experiment as a nested dict.
      images: fingerprint of the training split.
      validation_images: fingerprint of the validation split; '' without validation.
      steps: of the training in one stage, by the batch rule.

    Raises:
      InputError: the workdir belongs to another config, other classes or other images (names what differs), all steps
        are done so that a change would have no effect, or experiment.json cannot be read or written.
    """
    ours = {"format": FORMAT, "config": config, "class_names": class_names}
    ours |= {"images": images, "validation_images": validation_images}
    ours = json.loads(json.dumps(ours))  # tuples become lists, as in the file
    path = workdir / NAME
    continued: dict[str, tuple[Any, Any]] = {}
    if is_trained(workdir):
        stored = _load(path)
        stored["validation_images"] = stored.get("validation_images") or validation_images  # older files lack it
        ours["validation_images"] = validation_images or stored["validation_images"]
        theirs, here = _decisive(stored), _decisive(ours)
        continued = _continued(workdir, theirs, here)
        differing = _differences(*({k: v for k, v in flat.items() if k not in continued} for flat in (theirs, here)))
        if differing:
            raise InputError(
                f"workdir {workdir} holds another experiment: {'; '.join(differing)}; give another --workdir "
                f"(to start from its weights: --config.training.init_from={workdir})."
            )
        if continued:
            _check_steps_left(workdir, steps, continued)
        ours["changes"] = [*stored.get("changes", []), *_records(workdir, continued)]
    if not ours.get("changes"):
        ours.pop("changes", None)
    try:
        with atomic_write(path) as file:
            file.write(f"{json.dumps({'checksum': _checksum(ours), **ours}, indent=1)}\n".encode())
    except OSError as error:
        raise unwritable(path, error, cure="make room, or give another --workdir") from error
    return [f"{name}={new} (before: {old})" for name, (old, new) in continued.items()]


def newest_step(workdir: Path) -> int:
    """Return the step of the newest checkpoint in a workdir, 0 without one."""
    return max((int(path.name) for path in (workdir / "checkpoints").glob("*") if path.name.isdigit()), default=0)


def _continued(workdir: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return field -> (value there, value here) of the differences with which a training may continue."""
    if (workdir / "stages").exists():  # later stages depend on the earlier ones
        return {}
    names = [name for name in sorted(ours) if name.removeprefix("config.") in CONTINUED_FIELDS]
    return {name: (theirs.get(name), ours[name]) for name in names if theirs.get(name) != ours[name]}


def _check_steps_left(workdir: Path, steps: float, changed: Collection[str]) -> None:
    done = newest_step(workdir)
    if steps <= done:
        others = [name.removeprefix("config.") for name in changed if name != "config.training.steps"]
        what = f" with another {', '.join(others)}" if others else ""
        raise InputError(
            f"training.steps must be above the {done} steps that are done in {workdir}, got {steps}{what}; give more, "
            "or another --workdir."
        )


def _records(workdir: Path, continued: dict[str, tuple[Any, Any]]) -> list[dict[str, Any]]:
    step = newest_step(workdir)
    return [{"step": step, "field": name, "before": old, "after": new} for name, (old, new) in continued.items()]


def is_trained(workdir: Path) -> bool:
    """Return whether this is an exported file or a workdir where training can resume, if only a stage or features."""
    resumes_from = ("checkpoints/*", "stages/*/checkpoints/*", "stages/2_features/*")
    return workdir.is_file() or any(any(workdir.glob(pattern)) for pattern in resumes_from)


def read(workdir: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the config and the class names that a workdir or exported file was trained with, in the present format.

    Raises:
      InputError: the folder is not a workdir of train.py, its file was changed, or its version cannot be translated.
    """
    if workdir.is_file():
        config, class_names = exported.read(workdir)
        return _with_tuples(config), tuple(class_names)
    if not workdir.is_dir():
        raise InputError(f"--workdir: there is no folder or file {workdir}; give one that train.py or export wrote.")
    stored = _load(workdir / NAME)
    return _with_tuples(stored["config"]), tuple(stored["class_names"])


def run_folder(path: Path) -> Path:
    """Return the workdir at a path, or the workdir of the checkpoint at a path, as in runs/demo/checkpoints/2200."""
    path = path.resolve()
    if path.is_file():
        return path
    return path.parents[1] if not (path / NAME).exists() and path.parent.name == "checkpoints" else path


def differences(trained: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """Return in which fields two configs differ, as in "config.seed is 0 there and 1 here"."""
    return _differences(_flat(trained), _flat(config))


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputError(f"--workdir: {path.parent} has no {NAME}; give a folder that train.py wrote.")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        check_format(stored, path)
        _check_unchanged(stored, path)
        stored = translate(stored, path)
        for name, content_type in (("config", dict), ("class_names", list)):
            if not isinstance(stored[name], content_type):
                raise TypeError(f"{name} must be a {content_type.__name__}")
        return stored
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not what train.py wrote ({error}); restore it or give another --workdir."
        ) from error


def _check_unchanged(stored: dict[str, Any], path: Path) -> None:
    """Take the checksum out of the content, and raise InputError where they disagree; older files have none.

    Every flipped bit is noticed: one in the name of the checksum makes an unknown entry.
    """
    checksum = stored.pop("checksum", None)
    unknown = stored.keys() - CONTENT
    if unknown:
        raise KeyError(f"unknown entry {min(unknown)!r}")
    if checksum not in (None, _checksum(stored)):
        raise InputError(
            f"{path} must be as train.py wrote it, got content that its checksum does not fit; restore the file. If "
            'you edited it on purpose, delete its line "checksum".'
        )


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_tuples(item) for name, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _differences(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """Return how two flat dicts differ, a missing entry counting as None."""
    names = [name for name in sorted(theirs.keys() | ours.keys()) if theirs.get(name) != ours.get(name)]
    return [f"{name} is {theirs.get(name)!r} there and {ours.get(name)!r} here" for name in names]


def _decisive(content: dict[str, Any]) -> dict[str, Any]:
    """Return, flat, what could change the result of a run that resumes."""
    decisive = _flat(content["config"]) | {"class_names": content["class_names"]}
    decisive |= {meaning: content[name] for name, meaning in FINGERPRINTS.items()}
    return {name: value for name, value in decisive.items() if name.removeprefix("config.") not in FREE_FIELDS}


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config as {"config.net.width": 1.0}, with paths in one spelling.

    Fields that came later than its file have their default.
    """

    def entries(values: dict[str, Any], prefix: str) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for name, value in values.items():
            path = f"{prefix}.{name}"
            if path in PATHS and value:
                value = os.path.abspath(os.path.expanduser(value))
            flat |= entries(value, path) if isinstance(value, dict) else {path: value}
        return flat

    defaults = {f"config.{path}": default for path, default in DEFAULTS.items()}
    return json.loads(json.dumps(defaults | entries(config, "config")))  # tuples become lists
