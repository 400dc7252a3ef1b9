"""Reading the checkpoints of a run without training: parameters only, no optimiser, no lock.

workdir/checkpoints/<step>/ is described in training/checkpoints.py.
"""

import logging
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxdet.checks import InputError
from jaxdet.io.safetensors import read_safetensors
from jaxdet.training import manifest
from jaxdet.training.state import flatten, unflatten
from jaxdet.types import Params

log = logging.getLogger(__name__)


def has_checkpoint(workdir: str | os.PathLike) -> bool:
    """Return whether a run in `workdir` resumes from a checkpoint; initial parameters are needed only if not."""
    return bool(saved_steps(checkpoint_folder(workdir)))


def check_whole(workdir: str | os.PathLike) -> None:
    """Raise InputError where the newest checkpoint of a finished training in stages is broken."""
    folder = find_checkpoint(workdir)
    if fault := manifest.fault(folder):
        raise InputError(
            f"checkpoint {folder} must be whole, got {fault}; bring it back, or "
            "remove it to make it again from the stages."
        )


def finished_params(workdir: str | os.PathLike, *, steps: int) -> Params | None:
    """Return the parameters of a run that finished all its `steps`; None if it did not or its checkpoint is broken."""
    folder = checkpoint_folder(workdir) / str(steps)
    if not manifest.exists(folder) or read_metadata(folder).get("evaluation_due") or manifest.fault(folder):
        return None
    return restore_params(workdir, steps)


def restore_params(workdir: str | os.PathLike, step: int | str | None = None) -> Params:
    """Return the parameters of a run as a nested dict of numpy arrays.

    Args:
      workdir: the run's folder, one of its checkpoints, as in runs/voc/checkpoints/1000, or an exported file.
      step: a saved step, "best" (by validation mAP; the newest where none was evaluated), or None for the newest. The
        log warns of a checkpoint that would have been considered but for its broken manifest.

    Raises:
      InputError: there is no such checkpoint, it is broken, or one of its arrays holds NaN or infinity.
    """
    folder = find_checkpoint(workdir, step)
    if folder.is_file():
        arrays: dict[str, Any] = {**read_safetensors(folder)[0]}
        return unflatten(arrays)
    if fault := manifest.fault(folder):
        others = [other for other in saved_steps(folder.parent) if str(other) != folder.name]
        cure = f"choose another step, as in --checkpoint={others[-1]}" if others else "restore it from a copy"
        raise InputError(f"checkpoint {folder} must be whole, got {fault}; {cure}.")
    item: Any = folder / "params"  # Orbax annotates paths with a class of its own
    handler = ocp.PyTreeCheckpointHandler()
    tree = handler.metadata(item).tree
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    params = unflatten(handler.restore(item, args=ocp.args.PyTreeRestore(restore_args=as_numpy)))
    _check_finite(params, folder)
    return params


def find_checkpoint(workdir: str | os.PathLike, step: int | str | None = None) -> Path:
    """Return the folder that `restore_params` reads; its name is the step unless it was moved out of its workdir.

    Raises:
      InputError: there is no such checkpoint, or a step is given and the folder is a checkpoint of another step.
    """
    folder = Path(workdir).resolve()
    if folder.is_file():
        return folder
    if not manifest.exists(folder):
        return _choose(folder, step)
    if step not in (None, "best") and folder.name.isdigit() and folder.name != str(step):
        raise InputError(f"step must be that of the checkpoint {folder}, got {step}; give its workdir.")
    return folder


def best_step(workdir: str | os.PathLike) -> int | None:
    """Return the saved step of best validation mAP, the earlier of equals; None where none was evaluated."""
    folder = checkpoint_folder(workdir)
    metadata = {step: read_metadata(folder / str(step)) for step in saved_steps(folder)}
    scores = {step: data["val_map"] for step, data in metadata.items() if data.get("val_map") is not None}
    return max(scores, key=scores.__getitem__) if scores else None


def checkpoint_folder(workdir: str | os.PathLike) -> Path:
    """Return the folder of a workdir's checkpoints; absolute, as Orbax fails to save to a relative path."""
    return Path(workdir).resolve() / "checkpoints"


def saved_steps(folder: Path) -> list[int]:
    """Return the steps in a folder of checkpoints whose save was finished, ascending."""
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit() and manifest.exists(path))


def step_folders(folder: Path) -> dict[int, Path]:
    """Return step -> folder of everything that looks like a checkpoint, ascending, finished or not."""
    paths = [path for path in folder.glob("[0-9]*") if path.name.isdigit() and path.is_dir()]
    return dict(sorted((int(path.name), path) for path in paths))


def read_metadata(folder: Path) -> dict[str, Any]:
    """Return the metadata of a checkpoint; {} where the manifest is broken, which is reported on restoring it."""
    try:
        return manifest.metadata(folder)
    except (OSError, ValueError):
        return {}


def _check_finite(params: Params, folder: Path) -> None:
    """Raise InputError where an array holds NaN or infinity: nothing would be detected, without a word."""
    bad = {path: np.sum(~np.isfinite(leaf)) for path, leaf in flatten(params).items() if not np.isfinite(leaf).all()}
    if bad:
        listed = ", ".join(f"{path} with {count} values that are not" for path, count in list(bad.items())[:3])
        raise InputError(
            f"checkpoint {folder}: all parameters must be finite, got {listed} ({len(bad)} such arrays); "
            "choose another step, or train again with a lower learning rate."
        )


def _choose(workdir: Path, step: int | str | None) -> Path:
    folder = checkpoint_folder(workdir)
    steps = saved_steps(folder)
    if not steps:
        raise InputError(
            f"workdir must hold checkpoints, got none in {workdir}; train there to the end, or correct the path."
        )
    chosen = best_step(workdir) if step == "best" else step
    chosen = steps[-1] if chosen is None else int(chosen)
    if chosen not in steps:
        raise InputError(f"step must be one of {steps} saved in {workdir}, 'best' or 'last'; got {step}.")
    if step in (None, "best"):
        _warn_of_broken_manifests(folder, chosen, newer_only=step is None)
    return folder / str(chosen)


def _warn_of_broken_manifests(folder: Path, chosen: int, *, newer_only: bool) -> None:
    for step, path in step_folders(folder).items():
        if step != chosen and not manifest.is_readable(path) and (step > chosen or not newer_only):
            state = "changed" if manifest.exists(path) else "missing: it is still being saved, or the file was deleted"
            log.warning("checkpoint %s is not considered: %s %s; reading step %d", path, manifest.NAME, state, chosen)
