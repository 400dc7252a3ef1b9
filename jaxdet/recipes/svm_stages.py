"""The stages on the host that R-CNN and Fast R-CNN share: features of every region on disk, SVMs fitted to them."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdet.checks import InputError
from jaxdet.data.pipeline import image_batch
from jaxdet.inputs import Split
from jaxdet.io.keyed_folder import load_arrays, save_arrays
from jaxdet.io.progress import progress
from jaxdet.linear.features import FeatureFolder
from jaxdet.linear.regions import Regions, regions_of
from jaxdet.linear.svm import check_installed, fit_svms
from jaxdet.training.state import digest
from jaxdet.types import Batch, Indexed, Params

log = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]


def check_svms_can_be_fitted() -> None:
    """Raise InputError where there are several processes, for SVMs are fitted by one, or no scikit-learn."""
    if jax.process_count() > 1:
        raise InputError(f"SVMs must be fitted by one process, got {jax.process_count()}; remove --distributed.")
    check_installed()


class RegionsOf(Indexed[Regions]):
    """[i] -> the regions of image i, computed on request: the overlaps of a large split would fill the memory."""

    def __init__(self, split: Split):
        assert split.proposals is not None
        self._dataset, self._proposals = split.dataset, split.proposals

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, i: int) -> Regions:
        i = range(len(self))[i]
        num_classes = len(self._dataset.class_names)
        return regions_of(self._dataset.annotations(i), self._proposals[i], num_classes=num_classes)


def feature_key(split: Split, params: Params, **more: Any) -> dict[str, Any]:
    """Return what the features, and all that is fitted to them, depend on; `more` holds JSON values."""
    inputs = {"dataset": split.dataset.fingerprint, "proposals": split.proposals_key()}
    return inputs | {"params": digest(params), **more}


def store_features(
    folder: Path,
    key: Mapping[str, Any],
    split: Split,
    *,
    widths: Mapping[str, int],
    extract: Callable[[Batch], Any],
    rows: Callable[[Regions, Any], Arrays],
) -> FeatureFolder:
    """Store the features of every region, image by image; an interrupted run resumes.

    Args:
      folder, key, widths: of the FeatureFolder.
      split: with its proposals.
      extract: batch of one image, whose proposals are its regions -> features, on the device.
      rows: regions and their fetched features -> what to append.
    """
    dataset, proposals, regions = split.dataset, split.proposals, RegionsOf(split)
    assert proposals is not None
    stored = FeatureFolder(folder, key, widths)
    slots = max(len(dataset.annotations(i).boxes) + len(proposals[i]) for i in range(len(dataset)))

    def extracted() -> Iterator[tuple[Regions, Any]]:
        """Yield each image one step late: the device computes the next one while the host writes this one."""
        previous = None
        for i in range(len(stored), len(dataset)):
            image_regions = regions[i]
            batch = image_batch(dataset[i].image, split.options, proposals=image_regions.boxes, max_proposals=slots)
            current = image_regions, extract(batch)
            if previous is not None:
                yield previous
            previous = current
        if previous is not None:
            yield previous

    log.info("%s: %d of %d images are stored", folder.name, len(stored), len(dataset))
    for image_regions, features in progress(extracted(), name=folder.name, total=len(dataset), done=len(stored)):
        # Fetched whole: each length of a slice on the device compiles again.
        stored.append(rows(image_regions, jax.device_get(features)))
    return stored


def fit_split_svms(folder: Path, features: FeatureFolder, split: Split, *, seed: int) -> Arrays:
    """Fit one SVM per class to fc7, saved in the folder: kernel f32[F,K] and bias f32[K]."""
    log.info(folder.name)
    draft = folder / "unfinished.npz"
    fit = functools.partial(
        fit_svms,
        features.read("fc7"),
        RegionsOf(split),
        class_names=split.dataset.class_names,
        seed=seed,
        draft=draft,
        name=folder.name,
    )
    svms = load_or_fit(folder / "svms.npz", fit)
    draft.unlink(missing_ok=True)
    return svms


def load_or_fit(path: Path, fit: Callable[[], Arrays]) -> Arrays:
    """Return the arrays at `path`, fitted and saved there if needed."""
    if not path.exists():
        save_arrays(path, fit())
    return load_arrays(path)
