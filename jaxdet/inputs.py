"""From an experiment to its data: the data set, its proposals, and batches of both."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from jaxdet.checks import InputError
from jaxdet.config.fields import Devkit, Proposals, Shapes, Voc, keywords
from jaxdet.config.schema import Experiment, FastRcnn, OneStage, Rcnn
from jaxdet.data import pipeline
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets.shapes import prepare_shapes
from jaxdet.data.datasets.voc import open_voc
from jaxdet.data.datasets.voc_folder import prepare_devkit
from jaxdet.data.pipeline import InputOptions
from jaxdet.proposals.search import search_split
from jaxdet.proposals.selective_search import selective_search
from jaxdet.systems import SYSTEMS
from jaxdet.types import Batch, Dataset, ProposalTable


@dataclasses.dataclass(frozen=True)
class Split:
    """A split and the proposals of its images; None for a detector that makes its own."""

    dataset: Dataset
    proposals: ProposalTable | None = None


def open_dataset(experiment: Experiment, part: str) -> Dataset:
    """Open the split that experiment.splits names for `part` ('train', 'validation', 'test'); prepare it if needed.

    Raises:
      InputError: no split is named, or it cannot be prepared.
    """
    split = getattr(experiment.splits, part)
    if not split:
        raise InputError(f"splits.{part} is empty; name a split, or set training.eval_every=0 to train without any.")
    options = keywords(experiment.dataset, "kind")
    match experiment.dataset:
        case Shapes():
            return open_split(prepare_shapes(**options), split)
        case Devkit():
            splits = tuple(dict.fromkeys(name for name in keywords(experiment.splits).values() if name))
            return open_split(prepare_devkit(**options, splits=splits), split)
        case Voc():
            return open_voc(**options, split=split)


def add_proposals(experiment: Experiment, dataset: Dataset) -> Split:
    """Return the split with Selective Search's boxes, searched if needed; without for a detector with its own.

    Raises:
      InputError: see search_split; or there are several processes and nothing is searched yet.
    """
    if not SYSTEMS[experiment.system].needs_proposals:
        return Split(dataset)
    experiment = cast(FastRcnn | Rcnn, experiment)
    path = proposals_file(experiment, dataset)
    if jax.process_count() > 1 and not path.exists():  # all would search, or wait for longer than jax lets them
        raise InputError(
            f"proposals: {path} must exist before several processes start, got none; run this "
            "once without --distributed."
        )
    return Split(dataset, search_split(dataset, path, **keywords(experiment.proposals)))


def proposals_file(experiment: FastRcnn | Rcnn, dataset: Dataset) -> Path:
    """Return where Selective Search's boxes of a split are saved; other search parameters have another file."""
    parameters = json.dumps(search_parameters(experiment.proposals), sort_keys=True)
    key = hashlib.sha256(parameters.encode()).hexdigest()[:8]
    folder = Path(experiment.dataset.data_dir).expanduser() / "proposals"
    return folder / f"selective_search_{dataset.fingerprint}_{key}.npz"


def search_parameters(proposals: Proposals) -> dict[str, Any]:
    """Return what Selective Search's boxes depend on, besides the images."""
    return keywords(proposals, "workers")


def train_batches(experiment: OneStage, split: Split) -> Callable[[int], Generator[Batch, None, None]]:
    """Return the function: finished steps -> this process's rows of the training batches of all later steps."""
    return lambda step: pipeline.train_batches(
        split.dataset,
        _options(experiment),
        batch_size=experiment.training.batch_size,
        seed=experiment.seed,
        start_step=step,
        **_proposals(split),
        **_rows(),
    )


def eval_batches(experiment: Experiment, split: Split) -> Iterator[Batch]:
    """Return this process's rows of the batches that hold every image of a split once."""
    batch_size = experiment.evaluation.batch_size
    return pipeline.eval_batches(
        split.dataset, _options(experiment), batch_size=batch_size, **_proposals(split), **_rows()
    )


def image_batch(experiment: Experiment, image: np.ndarray) -> Batch:
    """Return a batch of one image u8[H,W,3], with Selective Search's boxes for a detector that needs them."""
    if not SYSTEMS[experiment.system].needs_proposals:
        return pipeline.image_batch(image, _options(experiment))
    search = cast(FastRcnn | Rcnn, experiment).proposals
    boxes = selective_search(image, **search_parameters(search))
    return pipeline.image_batch(image, _options(experiment), proposals=boxes, max_proposals=search.max_boxes)


def _options(experiment: Experiment) -> InputOptions:
    return InputOptions(**keywords(experiment.input))


def _proposals(split: Split) -> dict[str, Any]:
    if split.proposals is None:
        return {}
    most = int(np.diff(split.proposals.starts).max(initial=1))
    return {"proposals": split.proposals, "max_proposals": max(most, 1)}


def _rows() -> dict[str, Any]:
    return {"process_index": jax.process_index(), "process_count": jax.process_count()}
