"""What a trained region proposal network proposes for a split, kept in a file like Selective Search's."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from jaxdet.building import eval_batches_of
from jaxdet.data.dataset import PreparedDataset as Dataset
from jaxdet.evaluation.detect import detect_split
from jaxdet.io.progress import progress
from jaxdet.models.detector import Detector
from jaxdet.proposals.file import open_proposals
from jaxdet.proposals.writer import ProposalWriter
from jaxdet.training.sharding import data_mesh, replicate, shard_batch
from jaxdet.training.state import digest
from jaxdet.types import Params, ProposalTable, Record

log = logging.getLogger(__name__)

PART = 32  # batches: what a kill costs


def rpn_proposals(config: ConfigDict, rpn: Detector, params: Params, dataset: Dataset, path: Path) -> ProposalTable:
    """The RPN's proposals for a split, made once and kept in a file like Selective Search's; killed, it goes on.

    Those of other parameters are refused, not made anew: the stages after this one may have learned from them.
    """
    key = {"method": "rpn", "dataset": dataset.fingerprint, "images": len(dataset), "params": digest(params)}
    key |= {"limits": config.model.train_proposals.to_dict(), "steps": config.training.steps}
    if not path.exists():
        log.info("proposals of %s for %d images", path.parent.name, len(dataset))
        leads = jax.process_index() == 0
        with ProposalWriter(path, key) if leads else contextlib.nullcontext() as writer:
            done = int(multihost_utils.broadcast_one_to_all(np.int32(writer.done if leads else 0)))
            found = _proposed(config, rpn, params, dataset, done)
            if leads:
                for boxes in progress(found, name=f"{path.parent.name} {path.stem}", total=len(dataset), done=done):
                    writer.add(boxes)
                writer.finish()
            else:  # its share of each batch goes to the one that writes
                for _ in found:
                    pass
        multihost_utils.sync_global_devices(str(path))
    return open_proposals(path, key)


def _proposed(config: ConfigDict, rpn: Detector, params: Params, dataset: Dataset, done: int) -> Iterator[np.ndarray]:
    """The proposals f32[n,4] of images done, done + 1, ..., part after part: batches come by bucket, the file by image.

    The parts begin where those of a run without a kill do, so that the batches are the same.
    """
    mesh, batch_size = data_mesh(), config.evaluation.batch_size
    params, detect = replicate(params, mesh), jax.jit(rpn.predict)
    size = PART * batch_size
    for start in range(done - done % size, len(dataset), size):
        part = _Part(dataset, start, min(start + size, len(dataset)))
        found = detect_split(
            lambda batch: detect(params, shard_batch(batch, mesh)), eval_batches_of(config, part, None)
        )
        ends = np.searchsorted(found.image, np.arange(len(part)), side="right")
        yield from np.split(found.boxes, ends[:-1])[max(done - start, 0) :]


class _Part:
    """Images start ... stop - 1 of a data set, for evaluation batches."""

    def __init__(self, dataset: Dataset, start: int, stop: int):
        self._dataset, self._start, self.image_sizes = dataset, start, dataset.image_sizes[start:stop]

    def __len__(self) -> int:
        return len(self.image_sizes)

    def __getitem__(self, i: int) -> Record:
        return self._dataset[self._start + i]
