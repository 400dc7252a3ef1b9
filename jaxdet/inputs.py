"""Data of an experiment: splits with their proposals, and batches of both."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from jaxdet.checks import InputError
from jaxdet.config.dataset_fields import Devkit, Shapes, Voc
from jaxdet.config.detector_fields import RoiSampling
from jaxdet.config.fields import SelectiveSearch, keywords
from jaxdet.config.schema import Experiment, FastRcnn, Rcnn
from jaxdet.data import pipeline
from jaxdet.data.augment import OFF, Augmentation
from jaxdet.data.collate import empty_batch
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets import voc
from jaxdet.data.datasets.devkit import prepare_devkit
from jaxdet.data.datasets.folder_splits import choose_images
from jaxdet.data.datasets.formats import open_folder
from jaxdet.data.datasets.shapes import prepare_shapes
from jaxdet.data.first_images import FirstImages
from jaxdet.data.pipeline import InputOptions
from jaxdet.data.training_split import check_training_split
from jaxdet.data.windows import common_bucket, empty_window_batch, window_batches, window_table
from jaxdet.proposals.mat_file import import_boxes, mat_key, mat_paths
from jaxdet.proposals.search import search_split
from jaxdet.proposals.selective_search import selective_search
from jaxdet.systems import SYSTEMS
from jaxdet.types import Batch, Dataset, ProposalTable


@dataclasses.dataclass(frozen=True)
class Split:
    """A split of a data set with all that batches of it need.

    Attributes:
      eval_batch_size: images per evaluation batch, over all devices and hosts.
      search: parameters of Selective Search; None for a detector that makes its own proposals.
      mat_files: files that hold the split's boxes instead; empty where they are searched.
      data_dir: folder of prepared data and proposals.
      annotated: False where the images have no annotations, not even empty ones.
      proposals: of every image; None until `with_proposals`, or for a detector that makes its own. In 4-step training
        the RPN's table for Fast R-CNN.
      augmentation: random changes of the training images; none where windows are sampled.
      windows: how windows of the whole split are sampled to train on, for R-CNN; None: to train on whole images.
    """

    dataset: Dataset
    options: InputOptions
    eval_batch_size: int
    search: SelectiveSearch | None
    mat_files: tuple[Path, ...]
    data_dir: Path
    annotated: bool = True
    proposals: ProposalTable | None = None
    windows: RoiSampling | None = None
    augmentation: Augmentation = OFF

    def first(self, images: int, data_dir: Path) -> "Split":
        """Return the split with its first images only; proposals of them are saved in a folder of their own."""
        return dataclasses.replace(self, dataset=FirstImages(self.dataset, images), data_dir=data_dir)

    def with_proposals(self) -> "Split":
        """Return the split with the boxes of Selective Search or of mat_files, where the detector needs them.

        Raises:
          InputError: see search_split and import_boxes; or there are several processes and no boxes are saved yet.
        """
        if self.search is None:
            return self
        path = self.proposals_file
        if jax.process_count() > 1 and not path.exists():  # all would search, or wait for longer than jax lets them
            raise InputError(
                f"proposals: {path} must exist before several processes start, got none; run this "
                "once without --distributed."
            )
        if self.mat_files:
            table = import_boxes(self.dataset, path, self.mat_files)
        else:
            table = search_split(self.dataset, path, **keywords(self.search, "file"))
        return dataclasses.replace(self, proposals=table)

    @property
    def proposals_file(self) -> Path:
        """Where the boxes are saved; other search parameters or .mat files have another file."""
        assert self.search is not None
        source = [str(path.resolve()) for path in self.mat_files] or search_parameters(self.search)
        digest = hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:8]
        method = "mat_file" if self.mat_files else "selective_search"
        return self.data_dir / "proposals" / f"{method}_{self.dataset.fingerprint}_{digest}.npz"

    def proposals_key(self) -> dict[str, Any]:
        """Return what the boxes depend on, besides the images."""
        assert self.search is not None
        return mat_key(self.mat_files) if self.mat_files else search_parameters(self.search)

    def train_batches(self, *, seed: int, batch_size: int) -> Callable[[int], Generator[Batch, None, None]]:
        """Return a function that maps the number of finished steps to the training batches of all later steps.

        The batches hold this process's rows. With `windows` they are WindowBatches, with as many rows as batch_size
        images would have windows.
        """
        if self.windows is not None:
            return functools.partial(self._window_batches, self.windows, seed=seed, batch_size=batch_size)
        return lambda step: pipeline.train_batches(
            self.dataset,
            self.options,
            seed=seed,
            batch_size=batch_size,
            start_step=step,
            augmentation=self.augmentation,
            **self._proposal_slots(),
            **_process(),
        )

    def batches_per_epoch(self, batch_size: int) -> int:
        """Return the number of training batches that hold every image."""
        return pipeline.batches_per_epoch(self.dataset, self.options, batch_size=batch_size)

    def train_shapes(self, *, seed: int, batch_size: int, steps: int) -> Callable[[int], list[Batch]]:
        """Return a function that maps the number of finished steps to the shapes of all later training batches.

        They are those of the batches of all processes together, as jax.ShapeDtypeStruct, each bucket once.
        """
        slots, options = self._proposal_slots().get("max_proposals", 0), self.options

        def of_rows(rows: list[Any], count: int) -> list[Batch]:
            return jax.tree.map(lambda row: jax.ShapeDtypeStruct((count, *row.shape[1:]), row.dtype), rows)

        def shapes(start: int) -> list[Batch]:
            if self.windows is not None:
                row = empty_window_batch(common_bucket(self.dataset, options), 1)
                return of_rows([row], batch_size * self.windows.batch_size)
            used = pipeline.train_buckets(
                self.dataset, options, seed=seed, batch_size=batch_size, start_step=start, steps=steps
            )
            rows = [empty_batch(bucket, 1, max_gt=options.max_gt, max_proposals=slots) for bucket in used]
            return of_rows(rows, batch_size)

        return shapes

    def eval_batches(self) -> Generator[Batch, None, None]:
        """Return this process's rows of the batches that hold every image once."""
        return pipeline.eval_batches(
            self.dataset, self.options, batch_size=self.eval_batch_size, **self._proposal_slots(), **_process()
        )

    def _window_batches(
        self, sampling: RoiSampling, step: int, *, seed: int, batch_size: int
    ) -> Generator[Batch, None, None]:
        assert self.proposals is not None
        table = window_table(
            self.dataset,
            self.proposals,
            positive_iou=sampling.positive_iou,
            negative_iou=sampling.negative_iou,
            use_difficult=self.options.use_difficult,
            drop_empty=self.options.drop_empty,
        )
        return window_batches(
            self.dataset,
            table,
            self.options,
            batch_size=batch_size * sampling.batch_size,
            positive_fraction=sampling.positive_fraction,
            seed=seed,
            start_step=step,
            **_process(),
        )

    def _proposal_slots(self) -> dict[str, Any]:
        if self.proposals is None:
            return {}
        most = max(int(np.diff(table.starts).max(initial=1)) for table in self.proposals.tables)
        return {"proposals": self.proposals, "max_proposals": max(most, 1)}


def open_part(experiment: Experiment, part: str, *, annotated: bool = True, class_names: tuple[str, ...] = ()) -> Split:
    """Open the split that experiment.splits names for `part` ('train', 'validation', 'test'); prepare it if needed.

    Args:
      annotated: False for a split without annotations.
      class_names: the classes of such a split in a folder, where the config names none.

    Raises:
      InputError: no split is named, it cannot be prepared, or proposals.file names no file.
    """
    search, split = _search(experiment), getattr(experiment.splits, part)
    mat_files = mat_paths(search.file, split) if search and search.file and split else []  # before a long preparation
    return Split(
        dataset=_open_dataset(experiment, part, annotated, class_names),
        options=InputOptions(**keywords(experiment.input)),
        eval_batch_size=experiment.evaluation.batch_size,
        search=search,
        mat_files=tuple(mat_files),
        data_dir=Path(experiment.dataset.data_dir),
        annotated=annotated,
        augmentation=Augmentation(**keywords(experiment.augmentation)),
    )


def open_evaluation_part(experiment: Experiment, part: str, class_names: tuple[str, ...]) -> Split:
    """Open a split that a detector of these classes is evaluated on. It may lack annotations: Split.annotated.

    Raises:
      InputError: see open_part; only some images of a sum of splits have annotations.
    """
    dataset, split = experiment.dataset, _split_name(experiment, part)
    annotated = True
    if isinstance(dataset, Voc):
        annotated = voc.is_annotated(split)
    elif isinstance(dataset, Devkit):
        images = choose_images(open_folder(dataset.devkit, annotated=False), split).images
        annotated = any(image.is_annotated() for image in images)
    return open_part(experiment, part, annotated=annotated, class_names=class_names)


def open_training_part(experiment: Experiment) -> Split:
    """Open the split that is trained on, and check that a folder of the user's own has objects of each class.

    Raises:
      InputError: see open_part and check_training_split; windows of the whole split cannot be augmented.
    """
    sampling = experiment.head.sampling if isinstance(experiment, Rcnn) else ""
    if sampling == "data_set" and Augmentation(**keywords(experiment.augmentation)).is_on:
        raise InputError(
            "augmentation must be off where head.sampling is 'data_set', got one that is on; set head.sampling to "
            "per_image, or leave the augmentation out."
        )
    split = open_part(experiment, "train")
    if isinstance(experiment.dataset, Devkit):
        folder, names = open_folder(experiment.dataset.devkit), split.dataset.class_names
        check_training_split(
            split.dataset,
            use_difficult=experiment.input.use_difficult,
            # Without class_names the classes are those of the annotations, which need not be read again.
            annotated=folder.class_names() if experiment.dataset.class_names else names,
            source=str(folder.folder),
        )
    return split


def search_parameters(search: SelectiveSearch) -> dict[str, Any]:
    """Return what Selective Search's boxes depend on, besides the images."""
    parameters = keywords(search, "workers", "file")
    return {name: value for name, value in parameters.items() if value != ()}  # as in search_key


def image_batch(experiment: Experiment, image: np.ndarray) -> Batch:
    """Return a batch of one image u8[H,W,3], with Selective Search's boxes for a detector that needs them."""
    options, search = InputOptions(**keywords(experiment.input)), _search(experiment)
    if search is None:
        return pipeline.image_batch(image, options)
    boxes = selective_search(image, **search_parameters(search))
    return pipeline.image_batch(image, options, proposals=boxes, max_proposals=search.max_boxes)


def _open_dataset(experiment: Experiment, part: str, annotated: bool, class_names: tuple[str, ...]) -> Dataset:
    split, options = _split_name(experiment, part), keywords(experiment.dataset, "kind")
    match experiment.dataset:
        case Shapes():
            return open_split(prepare_shapes(**options), split)
        case Devkit():
            if not annotated:
                options["class_names"] = options["class_names"] or class_names
            return open_split(prepare_devkit(**options, splits=(split,), annotated=annotated), split)
        case Voc():
            return voc.open_voc(**options, split=split, annotated=annotated)


def _split_name(experiment: Experiment, part: str) -> str:
    split: str = getattr(experiment.splits, part)
    if not split:
        cure = ", or set training.eval_every=0 to train without validation" if part == "validation" else ""
        raise InputError(f"splits.{part} is empty; name a split{cure}.")
    return split


def _search(experiment: Experiment) -> SelectiveSearch | None:
    needs_proposals = SYSTEMS[experiment.system].needs_proposals
    return cast(FastRcnn | Rcnn, experiment).proposals if needs_proposals else None


def _process() -> dict[str, Any]:
    return {"process_index": jax.process_index(), "process_count": jax.process_count()}
