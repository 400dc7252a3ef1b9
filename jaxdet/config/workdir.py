"""The check that training writes into a folder of its own and replaces no file of the user's."""

import json
import re
from pathlib import Path

from jaxdet.checks import InputError
from jaxdet.config.experiment_json import CONTENT, NAME
from jaxdet.io.home import expand_home

WRITTEN = (
    "checkpoints",
    "curves.png",
    "lock",
    "metrics.jsonl",
    "pictures",
    "stages",
    "tensorboard",
)  # besides experiment.json and evaluation/
LOCK = re.compile(r"(host .*, pid \d+\n)?")  # empty: killed before the name was written


def check_workdir(workdir: str) -> None:
    """Check, before anything is written, that a workdir holds an earlier run or none of the names that a run writes.

    A run is known by its experiment.json. It is the first file, after the lock, that a run writes.

    Raises:
      InputError: a file or a folder that is not empty has such a name, and no run wrote it.
    """
    folder = Path(expand_home("workdir", workdir))
    experiment = folder / NAME
    if experiment.is_symlink() or experiment.exists():
        if not _is_ours(experiment):
            raise InputError(
                f"{experiment} is not what train.py wrote; restore it or move it away, or give another --workdir."
            )
        return
    for path in (folder / name for name in WRITTEN):
        if not _holds_nothing(path):
            raise InputError(
                f"{path} must not be replaced, as it has no {NAME} of jaxdet beside it; move it away, or give another "
                "--workdir."
            )


def _is_ours(experiment: Path) -> bool:
    """Return whether a file has the entries of an experiment.json, of this version or an earlier one."""
    try:
        stored = json.loads(experiment.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(stored, dict) and {"config", "class_names"} <= stored.keys() <= CONTENT | {"checksum"}


def _holds_nothing(path: Path) -> bool:
    """Return whether nothing is lost where a run takes a name: no file, an empty folder, the lock of a killed run."""
    if path.is_dir():
        return not any(path.iterdir())
    if path.name == "lock" and path.is_file() and not path.is_symlink():
        return LOCK.fullmatch(path.read_bytes()[:1000].decode(errors="replace")) is not None
    return not path.is_symlink() and not path.exists()
