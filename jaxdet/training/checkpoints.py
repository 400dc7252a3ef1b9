"""Checkpoints of a run: the newest few and the best, each verified by SHA-256 before it is restored.

workdir/checkpoints/<step>/ holds Orbax's items `params` and `optimizer` (step, optax state, key), arrays.json (their
shapes) and manifest.json, written last. Orbax alone restores flipped bits silently and lists half-deleted steps, so the
manifests decide here which checkpoints are complete and which are removed; Orbax's CheckpointManager would decide by
rules of its own. <step>.broken is a checkpoint whose manifest was damaged, so that nothing tells how good it is: it is
left to the user.
"""

import contextlib
import json
import logging
import os
import shutil
import weakref
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from jaxdet.checks import InputError
from jaxdet.io.folder import make_writable, remove_folder
from jaxdet.io.progress import waiting
from jaxdet.training import manifest
from jaxdet.training.restore import best_step, checkpoint_folder, read_metadata, saved_steps, step_folders
from jaxdet.training.sharding import data_mesh, replicate
from jaxdet.training.state import TrainState, flatten
from jaxdet.types import Params

log = logging.getLogger(__name__)

DRAFT, REMOVED = ".orbax-checkpoint-tmp", ".removed"  # in names of what is not a checkpoint yet, or no longer


class Checkpoints:
    """The checkpoints of one workdir, for the process that trains there and holds its lock."""

    def __init__(self, workdir: str | os.PathLike, *, keep: int):
        """Make the folder and remove what an interrupted save or removal left in it.

        Args:
          keep: number of newest checkpoints to keep, at least 1; the best one is kept besides.

        Raises:
          InputError: the folder is not writable.
        """
        self.folder = checkpoint_folder(workdir)
        self.keep = keep
        self._orbax = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
        if jax.process_index() == 0:
            make_writable(self.folder, cure="give another --workdir")
            self._remove_incomplete()
        _wait_for_all_processes("checkpoints opened")
        self._opened = os.open(self.folder, os.O_RDONLY)  # held, or another folder could get its inode
        weakref.finalize(self, os.close, self._opened)

    def check_space(self, state: TrainState) -> None:
        """Raise InputError unless the disk can hold `keep` checkpoints, the best one, and one being written."""
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        need = size * max(1, self.keep + 2 - len(saved_steps(self.folder)))
        free = shutil.disk_usage(self.folder).free
        if free < need:
            raise InputError(
                f"{self.folder} must have room for {need / 1e9:.3g} GB of checkpoints, got {free / 1e9:.3g} GB free; "
                "make room, keep fewer, or give a --workdir on another disk."
            )

    def best_score(self) -> float | None:
        """Return the best validation mAP among the saved checkpoints; None where none was evaluated."""
        step = best_step(self.folder.parent)
        return None if step is None else read_metadata(self.folder / str(step))["val_map"]

    def save(self, state: TrainState, metadata: dict[str, Any]) -> None:
        """Write the checkpoint of state.step, then remove those no longer wanted; safe against kill -9 at any moment.

        A step that was saved before gets the new metadata only. `metadata` is JSON; the checkpoint of the largest
        "val_map" in it is the best.

        Raises:
          InputError: the checkpoint cannot be written, as on a full disk, or the folder was removed meanwhile.
        """
        self._check_in_place()  # Orbax would make the folder again
        folder = self.folder / str(int(state.step))
        try:
            # Write the arrays, or only the metadata of a step that is saved already.
            if not manifest.exists(folder):
                self._write(folder, state, metadata)
            elif jax.process_index() == 0:
                manifest.renew(folder, metadata)
            if jax.process_index() == 0:
                self._remove_older()
        except (OSError, ValueError) as error:  # Orbax raises ValueError for a full disk
            self._check_in_place()
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"checkpoint {folder} must be written, got {reason}; make room and start again: the checkpoints saved "
                "before are whole."
            ) from error
        _wait_for_all_processes(f"checkpoint {folder.name} saved")

    def restore(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Return the newest intact checkpoint and its metadata; None where none was saved.

        Broken checkpoints are named in the log, and the one before is taken. Those after it are removed, for they are
        computed again; an older one with a broken manifest may be the best and is renamed to <step>.broken. Of `like`
        only structure, shapes, shardings and the split into trainable and frozen are used.

        Raises:
          InputError: all checkpoints are broken, or they hold another model or optimiser.
        """
        # Verify the newest; fall back to the one before as long as it is broken.
        steps = list(step_folders(self.folder))
        faults = {}
        with waiting("verifying the newest checkpoint"):
            while steps and (fault := manifest.fault(self.folder / str(steps[-1]))):
                faults[steps.pop()] = fault
        if faults and not steps:
            raise InputError(
                f"{self.folder} must hold a whole checkpoint, got only broken ones ({faults}); "
                "bring one back, or remove the folder to start again."
            )

        # Remove the broken ones, once every process has verified them.
        _wait_for_all_processes("checkpoints verified")
        for step, fault in faults.items():
            path, before = self.folder / str(step), steps[-1]
            log.warning("checkpoint %s is broken (%s): resuming from step %d and removing it", path, fault, before)
            if jax.process_index() == 0:
                self._remove(step)
        if jax.process_index() == 0:
            self._set_aside_unreadable()
        return self._read(self.folder / str(steps[-1]), like) if steps else None

    def _write(self, folder: Path, state: TrainState, metadata: dict[str, Any]) -> None:
        optimizer = {"step": state.step, "opt_state": state.opt_state, "key": state.key}
        items = ocp.args.Composite(
            params=ocp.args.StandardSave(state.trainable | state.frozen), optimizer=ocp.args.StandardSave(optimizer)
        )
        try:
            with waiting(f"saving checkpoint {folder.name}"):
                self._orbax.save(folder, args=items, force=True)
                if jax.process_index() == 0:
                    (folder / "arrays.json").write_text(json.dumps(_array_types(state), indent=1))
                    manifest.write(folder, metadata)
        except (OSError, ValueError):
            if jax.process_index() == 0:  # a full disk needs the room
                for draft in (folder, *self.folder.glob(f"{folder.name}{DRAFT}*")):
                    remove_folder(draft, ignore_errors=True)
            raise

    def _remove_older(self) -> None:
        """Remove all checkpoints but the newest and the best."""
        self._set_aside_unreadable()
        best = best_step(self.folder.parent)
        for step in saved_steps(self.folder)[: -self.keep]:
            if step != best:
                self._remove(step)

    def _check_in_place(self) -> None:
        """Raise InputError where the folder was removed, replaced or unmounted since the start."""
        in_place = False
        with contextlib.suppress(OSError):
            in_place = os.path.samestat(os.fstat(self._opened), self.folder.stat())
        if not in_place:
            raise InputError(
                f"{self.folder} must stay in place while training, got it removed or replaced; bring it back and run "
                "the same command to resume, or give another --workdir."
            )

    def _read(self, folder: Path, like: TrainState) -> tuple[TrainState, dict[str, Any]]:
        _check_arrays(folder, like)
        optimizer = {"step": like.step, "opt_state": like.opt_state, "key": like.key}
        params, optimizer = jax.tree.map(ocp.utils.to_shape_dtype_struct, (like.trainable | like.frozen, optimizer))
        items = ocp.args.Composite(
            params=ocp.args.StandardRestore(params), optimizer=ocp.args.StandardRestore(optimizer)
        )
        with waiting(f"reading checkpoint {folder.name}"):
            saved = self._orbax.restore(folder, args=items)
        trainable, frozen = ({path: saved.params[path] for path in part} for part in (like.trainable, like.frozen))
        return TrainState(trainable=trainable, frozen=frozen, **saved.optimizer), manifest.metadata(folder)

    def _remove(self, step: int) -> None:
        # Renamed first: what an interrupted removal leaves is not taken for a checkpoint.
        remove_folder((self.folder / str(step)).rename(self.folder / f"{step}{REMOVED}"))

    def _remove_incomplete(self) -> None:
        """Remove what a kill left: a removal, Orbax's drafts (named <step>.*), and a newest step without manifest.

        Only the newest can be an interrupted save: an older one has lost its manifest in another way.
        """
        newest = str(max(step_folders(self.folder), default=""))
        for path in self.folder.glob("[0-9]*"):
            draft = path.name.endswith(REMOVED) or DRAFT in path.name
            unfinished = path.name == newest and not manifest.exists(path)
            if path.is_dir() and (draft or unfinished):
                log.warning("removing %s: incomplete, its saving or removal was interrupted", path)
                remove_folder(path)

    def _set_aside_unreadable(self) -> None:
        """Rename the checkpoints whose manifest is broken, so that they are neither counted nor removed."""
        for step, path in step_folders(self.folder).items():
            if not manifest.is_readable(path):
                aside = path.with_name(f"{step}.broken")
                while aside.exists():
                    aside = aside.with_name(f"{aside.name}.broken")
                path.rename(aside)
                log.warning(
                    "checkpoint %s has a broken %s, so its validation score is unknown and it cannot be the best; "
                    "renamed to %s",
                    *(path, manifest.NAME, aside.name),
                )


def save_params(workdir: str | os.PathLike, params: Params, *, step: int) -> None:
    """Write parameters without an optimiser as the only checkpoint of a workdir; training cannot resume from it.

    Raises:
      InputError: the workdir cannot be written.
    """
    key = jax.random.key_data(jax.random.key(0))
    state = TrainState(jnp.int32(step), flatten(jax.device_put(params)), {}, (), key)
    state = replicate(state, data_mesh())  # several processes save only arrays that all of them hold
    Checkpoints(workdir, keep=1).save(state, {})


def _array_types(state: TrainState) -> dict[str, str]:
    """Return dtype and shape of every array, as in {".trainable['fc/bias']": "float32[4]"}."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}


def _check_arrays(folder: Path, like: TrainState) -> None:
    """Raise InputError unless a checkpoint holds the arrays of `like`: its paths, dtypes and shapes."""
    saved, expected = json.loads((folder / "arrays.json").read_text()), _array_types(like)
    differing = [path for path in sorted(saved.keys() | expected.keys()) if saved.get(path) != expected.get(path)]
    if differing:
        path = differing[0]
        raise InputError(
            f"checkpoint {folder} must hold this model and optimiser, got {len(differing)} other arrays (first {path}: "
            f"{saved.get(path, 'none')} saved, {expected.get(path, 'none')} expected); resume with the config it was "
            "trained with, or give another --workdir."
        )


def _wait_for_all_processes(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
