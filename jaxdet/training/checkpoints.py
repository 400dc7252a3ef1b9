"""Checkpoints of a run: the newest few and the best, each verified before it is believed.

workdir/checkpoints/<step>/ holds Orbax's items `params` and `optimizer` (step, optax state, key), arrays.json (their
shapes) and manifest.json, written last. Orbax alone restores flipped bits silently and
lists half-deleted steps, so what is whole and what may go is decided here, by the manifests; Orbax's
CheckpointManager would decide it again, differently.
"""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from jaxdet.checks import InputError
from jaxdet.training import manifest
from jaxdet.training.sharding import data_mesh, replicate
from jaxdet.training.state import TrainState, flatten, unflatten
from jaxdet.types import Params

log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one workdir, for the process that trains there and holds its lock."""

    def __init__(self, workdir: str | os.PathLike, *, keep: int):
        """Makes the folder and removes what an interrupted save or deletion left in it.

        Args:
          keep: how many of the newest checkpoints stay, at least 1; the best one stays besides them.
        """
        self.folder = _folder(workdir)
        self.keep = keep
        self._orbax = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
        if jax.process_index() == 0:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / "writable").touch()
                (self.folder / "writable").unlink()
            except OSError as error:
                raise InputError(
                    f"{self.folder} must be writable, got {error.strerror}; give another --workdir."
                ) from error
            self._remove_leftovers()
        _wait_for_all("checkpoints opened")

    def check_space(self, state: TrainState) -> None:
        """Raises InputError if the disk cannot hold the checkpoints to come: `keep`, the best and one in writing."""
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        need = size * max(1, self.keep + 2 - len(_whole(self.folder)))
        free = shutil.disk_usage(self.folder).free
        if free < need:
            raise InputError(
                f"{self.folder} must have room for {need / 1e9:.3g} GB of checkpoints, got {free / 1e9:.3g} GB free; "
                "make room, keep fewer, or give a --workdir on another disk."
            )

    def save(self, state: TrainState, metadata: dict[str, Any]) -> None:
        """Writes the checkpoint of state.step, then removes those no longer wanted; safe against kill -9 anywhere.

        A step saved before only gets the new metadata. `metadata` is JSON; the largest "val_map" in it, where there is
        one, makes a checkpoint the best.
        """
        folder = self.folder / str(int(state.step))
        if not manifest.exists(folder):
            self._write(folder, state, metadata)
        elif jax.process_index() == 0:
            manifest.renew(folder, metadata)
        if jax.process_index() == 0:
            best = best_step(self.folder.parent)
            for step in _whole(self.folder)[: -self.keep]:
                if step != best:
                    self._remove(step)
        _wait_for_all(f"checkpoint {folder.name} saved")

    def _write(self, folder: Path, state: TrainState, metadata: dict[str, Any]) -> None:
        rest = {"step": state.step, "opt_state": state.opt_state, "key": state.key}
        items = ocp.args.Composite(
            params=ocp.args.StandardSave(state.trainable | state.frozen), optimizer=ocp.args.StandardSave(rest)
        )
        try:
            self._orbax.save(folder, args=items, force=True)
            if jax.process_index() == 0:
                (folder / "arrays.json").write_text(json.dumps(_layout(state), indent=1))
                manifest.write(folder, metadata)
        except (OSError, ValueError) as error:  # a full disk is a ValueError of Orbax's
            raise InputError(f"checkpoint {folder} must be written, got {error}; make room and start again.") from error

    def best(self) -> float | None:
        """Is the best validation mAP among the checkpoints kept; None where none was evaluated."""
        step = best_step(self.folder.parent)
        return None if step is None else _metadata(self.folder / str(step))["val_map"]

    def restore(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Reads the newest whole checkpoint and its metadata; None where none was saved.

        Broken ones are named, removed, and the one before taken. Of `like` only structure, shapes, shardings and
        the split into trainable and frozen are used.

        Raises:
          InputError: where all are broken, or hold another model or optimiser.
        """
        steps = _whole(self.folder)
        faults = {}
        while steps and (fault := manifest.fault(self.folder / str(steps[-1]))):
            log.warning("checkpoint %s is broken (%s), taking the one before", self.folder / str(steps[-1]), fault)
            faults[steps.pop()] = fault
        if faults and not steps:
            raise InputError(
                f"{self.folder} must hold a whole checkpoint, got only broken ones ({faults}); "
                "bring one back, or remove the folder to start again."
            )
        _wait_for_all("checkpoints verified")
        if jax.process_index() == 0:
            for step in faults:
                self._remove(step)
        return self._read(self.folder / str(steps[-1]), like) if steps else None

    def _read(self, folder: Path, like: TrainState) -> tuple[TrainState, dict[str, Any]]:
        _check_layout(folder, like)
        rest = {"step": like.step, "opt_state": like.opt_state, "key": like.key}
        all_params, rest = jax.tree.map(ocp.utils.to_shape_dtype_struct, (like.trainable | like.frozen, rest))
        items = ocp.args.Composite(
            params=ocp.args.StandardRestore(all_params), optimizer=ocp.args.StandardRestore(rest)
        )
        saved = self._orbax.restore(folder, args=items)
        trainable, frozen = ({path: saved.params[path] for path in half} for half in (like.trainable, like.frozen))
        return TrainState(trainable=trainable, frozen=frozen, **saved.optimizer), manifest.metadata(folder)

    def _remove(self, step: int) -> None:
        (self.folder / str(step) / manifest.NAME).unlink()  # first, so that a half-deleted folder counts as none
        shutil.rmtree(self.folder / str(step))

    def _remove_leftovers(self) -> None:
        for folder in self.folder.glob("[0-9]*"):  # Orbax's drafts, too, begin with the step
            if folder.is_dir() and not manifest.exists(folder):
                log.warning("removing %s: incomplete, its saving or removal was interrupted", folder)
                shutil.rmtree(folder)


def save_params(workdir: str | os.PathLike, params: Params, *, step: int) -> None:
    """Writes parameters without an optimiser as the only checkpoint of a workdir: nothing trains on from there.

    Raises:
      InputError: where the workdir cannot be written.
    """
    key = jax.random.key_data(jax.random.key(0))
    made = TrainState(jnp.int32(step), flatten(jax.device_put(params)), {}, (), key)
    made = replicate(made, data_mesh())  # several hosts write what is on all of them
    Checkpoints(workdir, keep=1).save(made, {})


def has_checkpoint(workdir: str | os.PathLike) -> bool:
    """Tells whether a run in `workdir` goes on from a checkpoint; parameters to start with are needed only if not."""
    return bool(_whole(_folder(workdir)))


def finished_params(workdir: str | os.PathLike, *, steps: int) -> Params | None:
    """Reads the parameters of a run that went all its `steps`; None where it did not or its checkpoint is broken."""
    folder = _folder(workdir) / str(steps)
    if not manifest.exists(folder) or _metadata(folder).get("evaluation_due") or manifest.fault(folder):
        return None
    return restore_params(workdir, steps)


def restore_params(workdir: str | os.PathLike, step: int | str | None = None) -> Params:
    """Reads the parameters of a run as a nested dict of numpy arrays, without its optimiser; needs no lock.

    Args:
      workdir: the run's folder, or one of its checkpoints, as in runs/voc/checkpoints/1000.
      step: a saved step, "best" (by validation mAP; the newest where none was evaluated), or None for the newest.

    Raises:
      InputError: where there is no such checkpoint or it is broken.
    """
    folder = find_checkpoint(workdir, step)
    if fault := manifest.fault(folder):
        raise InputError(f"checkpoint {folder} must be whole, got {fault}; choose another step.")
    handler = ocp.PyTreeCheckpointHandler()
    tree = handler.metadata(folder / "params").tree
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
    return unflatten(handler.restore(folder / "params", args=ocp.args.PyTreeRestore(restore_args=as_numpy)))


def find_checkpoint(workdir: str | os.PathLike, step: int | str | None = None) -> Path:
    """The folder that `restore_params` reads; its name is the step, but for one that was moved out of its workdir.

    Raises:
      InputError: where there is no such checkpoint.
    """
    folder = Path(workdir).expanduser().resolve()
    return folder if manifest.exists(folder) else _choose(folder, step)


def best_step(workdir: str | os.PathLike) -> int | None:
    """Names the saved step of best validation mAP, the earlier of equals; None where none was evaluated."""
    folder = _folder(workdir)
    scores = {step: _metadata(folder / str(step)).get("val_map") for step in _whole(folder)}
    scores = {step: score for step, score in scores.items() if score is not None}
    return max(scores, key=scores.__getitem__) if scores else None


def _choose(workdir: Path, step: int | str | None) -> Path:
    steps = _whole(_folder(workdir))
    if not steps:
        raise InputError(
            f"workdir must hold checkpoints, got none in {workdir}; train there to the end, or correct the path."
        )
    chosen = best_step(workdir) if step == "best" else step
    chosen = steps[-1] if chosen is None else int(chosen)
    if chosen not in steps:
        raise InputError(f"step must be one of {steps} saved in {workdir}, or 'best'; got {step}.")
    return _folder(workdir) / str(chosen)


def _layout(state: TrainState) -> dict[str, str]:
    """Describes every array, as in {".trainable['fc/bias']": "float32[4]"}."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}


def _check_layout(folder: Path, like: TrainState) -> None:
    saved, wanted = json.loads((folder / "arrays.json").read_text()), _layout(like)
    differing = [path for path in sorted(saved.keys() | wanted.keys()) if saved.get(path) != wanted.get(path)]
    if differing:
        path = differing[0]
        raise InputError(
            f"checkpoint {folder} must hold this model and optimiser, got {len(differing)} other arrays (first {path}: "
            f"{saved.get(path, 'none')} saved, {wanted.get(path, 'none')} wanted); train on with the config it was "
            "made with, or give another --workdir."
        )


def _folder(workdir: str | os.PathLike) -> Path:
    return Path(workdir).expanduser().resolve() / "checkpoints"  # absolute: Orbax fails on a relative path when saving


def _whole(folder: Path) -> list[int]:
    """Steps whose saving was finished, ascending."""
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit() and manifest.exists(path))


def _metadata(folder: Path) -> dict[str, Any]:
    try:
        return manifest.metadata(folder)
    except (OSError, ValueError):
        return {}  # told when the checkpoint is read


def _wait_for_all(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
