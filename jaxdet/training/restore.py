"""Reading the checkpoints of a run without training: parameters only, no optimiser, no lock.

workdir/checkpoints/<step>/ is described in training/checkpoints.py.
"""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxdet.checks import InputError
from jaxdet.training import manifest
from jaxdet.training.state import unflatten
from jaxdet.types import Params


def has_checkpoint(workdir: str | os.PathLike) -> bool:
    """Return whether a run in `workdir` resumes from a checkpoint; initial parameters are needed only if not."""
    return bool(saved_steps(checkpoint_folder(workdir)))


def finished_params(workdir: str | os.PathLike, *, steps: int) -> Params | None:
    """Return the parameters of a run that finished all its `steps`; None if it did not or its checkpoint is broken."""
    folder = checkpoint_folder(workdir) / str(steps)
    if not manifest.exists(folder) or read_metadata(folder).get("evaluation_due") or manifest.fault(folder):
        return None
    return restore_params(workdir, steps)


def restore_params(workdir: str | os.PathLike, step: int | str | None = None) -> Params:
    """Return the parameters of a run as a nested dict of numpy arrays.

    Args:
      workdir: the run's folder, or one of its checkpoints, as in runs/voc/checkpoints/1000.
      step: a saved step, "best" (by validation mAP; the newest where none was evaluated), or None for the newest.

    Raises:
      InputError: there is no such checkpoint, or it is broken.
    """
    folder = find_checkpoint(workdir, step)
    if fault := manifest.fault(folder):
        raise InputError(f"checkpoint {folder} must be whole, got {fault}; choose another step.")
    item: Any = folder / "params"  # Orbax annotates paths with a class of its own
    handler = ocp.PyTreeCheckpointHandler()
    tree = handler.metadata(item).tree
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    return unflatten(handler.restore(item, args=ocp.args.PyTreeRestore(restore_args=as_numpy)))


def find_checkpoint(workdir: str | os.PathLike, step: int | str | None = None) -> Path:
    """Return the folder that `restore_params` reads; its name is the step unless it was moved out of its workdir.

    Raises:
      InputError: there is no such checkpoint.
    """
    folder = Path(workdir).expanduser().resolve()
    return folder if manifest.exists(folder) else _choose(folder, step)


def best_step(workdir: str | os.PathLike) -> int | None:
    """Return the saved step of best validation mAP, the earlier of equals; None where none was evaluated."""
    folder = checkpoint_folder(workdir)
    metadata = {step: read_metadata(folder / str(step)) for step in saved_steps(folder)}
    scores = {step: data["val_map"] for step, data in metadata.items() if data.get("val_map") is not None}
    return max(scores, key=scores.__getitem__) if scores else None


def checkpoint_folder(workdir: str | os.PathLike) -> Path:
    """Return the folder of a workdir's checkpoints; absolute, as Orbax fails to save to a relative path."""
    return Path(workdir).expanduser().resolve() / "checkpoints"


def saved_steps(folder: Path) -> list[int]:
    """Return the steps in a folder of checkpoints whose save was finished, ascending."""
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit() and manifest.exists(path))


def read_metadata(folder: Path) -> dict[str, Any]:
    """Return the metadata of a checkpoint; {} where the manifest is broken, which is reported on restoring it."""
    try:
        return manifest.metadata(folder)
    except (OSError, ValueError):
        return {}


def _choose(workdir: Path, step: int | str | None) -> Path:
    steps = saved_steps(checkpoint_folder(workdir))
    if not steps:
        raise InputError(
            f"workdir must hold checkpoints, got none in {workdir}; train there to the end, or correct the path."
        )
    chosen = best_step(workdir) if step == "best" else step
    chosen = steps[-1] if chosen is None else int(chosen)
    if chosen not in steps:
        raise InputError(f"step must be one of {steps} saved in {workdir}, or 'best'; got {step}.")
    return checkpoint_folder(workdir) / str(chosen)
