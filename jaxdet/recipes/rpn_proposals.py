"""Proposals of a trained region proposal network for a split, cached in a file like Selective Search's."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxdet.data.transforms import flip, mirror
from jaxdet.evaluation.detect import detect_split
from jaxdet.inputs import Split
from jaxdet.io.progress import counting
from jaxdet.models.detector import Detector
from jaxdet.proposals.file import open_proposals
from jaxdet.proposals.writer import ProposalWriter, remove_parts
from jaxdet.training.sharding import data_mesh, make_predict, replicate, shard_batch
from jaxdet.training.stage import Stage
from jaxdet.training.state import digest
from jaxdet.types import Annotation, Dataset, Params, ProposalTable, Record

log = logging.getLogger(__name__)

CHUNK = 32  # batches: a kill loses at most this much work


def rpn_proposals(
    stage: Stage, params: Params, split: Split, path: Path, *, limits: dict[str, Any], mirrored: bool = False
) -> ProposalTable:
    """Return the RPN's proposals for a split, read from the file at `path` or computed and saved there; resumable.

    A file of other parameters is refused, not replaced: later stages may have been trained on it.

    Args:
      stage: the RPN's finished stage; its detector predicts the proposals.
      params: its parameters.
      limits: of the proposals, for the key of the file.
      mirrored: propose on the mirrored images; the boxes are mirrored back.
    """
    dataset = split.dataset
    key = {"method": "rpn", "dataset": dataset.fingerprint, "images": len(dataset), "params": digest(params)}
    key |= {"limits": limits, "steps": stage.steps} | ({"mirrored": True} if mirrored else {})
    if not path.exists():
        log.info("proposals of %s for %d images", path.parent.name, len(dataset))
        leads = jax.process_index() == 0
        with ProposalWriter(path, key) if leads else contextlib.nullcontext() as writer:
            done = int(multihost_utils.broadcast_one_to_all(np.int32(writer.done if writer else 0)))
            for boxes in _propose(
                stage.detector, params, split, done, name=f"{path.parent.name} {path.stem}", mirrored=mirrored
            ):
                if writer:  # process 0 gathers the other processes' rows of each batch
                    writer.add(boxes)
            if writer:
                writer.finish()
        multihost_utils.sync_global_devices(str(path))
    elif jax.process_index() == 0:
        remove_parts(path)
    return open_proposals(path, key)


def _propose(
    rpn: Detector, params: Params, split: Split, done: int, *, name: str, mirrored: bool
) -> Iterator[np.ndarray]:
    """Yield the proposals f32[n,4] of images done, done + 1, ..., chunk by chunk: batches come in order of buckets.

    The chunks start where those of an uninterrupted run do, so that the batches are the same.
    """
    mesh = data_mesh()
    params, predict = replicate(params, mesh), make_predict(rpn.predict, mesh)
    size, dataset = CHUNK * split.eval_batch_size, split.dataset
    first = done - done % size
    with counting(name, total=len(dataset), done=first) as finish:
        for start in range(first, len(dataset), size):
            chunk = _Chunk(dataset, start, min(start + size, len(dataset)), mirrored=mirrored)
            batches = dataclasses.replace(split, dataset=chunk).eval_batches()
            detections = detect_split(lambda batch: predict(params, shard_batch(batch, mesh)), batches, finish=finish)
            ends = np.searchsorted(detections.image, np.arange(len(chunk)), side="right")
            boxes = detections.boxes
            if mirrored:
                boxes = mirror(boxes, chunk.image_sizes[detections.image, 1])
            yield from np.split(boxes, ends[:-1])[max(done - start, 0) :]


class _Chunk(Dataset):
    """Images start ... stop - 1 of a data set, as they are or mirrored."""

    def __init__(self, dataset: Dataset, start: int, stop: int, *, mirrored: bool):
        self._dataset, self._start, self._stop, self._mirrored = dataset, start, stop, mirrored
        self.class_names, self.names = dataset.class_names, dataset.names[start:stop]
        self.image_sizes, self.object_counts = dataset.image_sizes[start:stop], dataset.object_counts[start:stop]

    @property
    def fingerprint(self) -> str:
        return f"{self._dataset.fingerprint}[{self._start}:{self._stop}]"

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Record:
        record = self._dataset[self._start + i]
        if not self._mirrored:
            return record
        image, boxes = flip(record.image, record.boxes)
        return dataclasses.replace(record, image=image, boxes=boxes)

    def annotations(self, i: int) -> Annotation:
        return self._dataset.annotations(self._start + i)
