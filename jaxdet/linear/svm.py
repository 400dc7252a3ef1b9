"""R-CNN's classifiers: one linear SVM per class with hard negative mining (R-CNN, 2.3 and appendix B; rcnn_train.m)."""

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxdet.checks import InputError, install
from jaxdet.io.keyed_folder import load_arrays, save_arrays
from jaxdet.io.progress import progress
from jaxdet.linear.features import mean_norm
from jaxdet.linear.regions import Regions
from jaxdet.types import Indexed

log = logging.getLogger(__name__)

NORM = 20.0  # the features are scaled to this mean length, for which C is chosen
C, BIAS, POSITIVE_WEIGHT = 1e-3, 10.0, 2.0
NEGATIVE_IOU = 0.3  # a region of lower IoU with the ground truth of the class is a negative
HARD, EASY = -1.0001, -1.2  # negatives that score above HARD are added, those below EASY are dropped
RETRAIN_AFTER = 2000  # added negatives
TOLERANCE = 1e-3  # liblinear's default 0.1 stops 0.25 % above the minimum; this takes a third more time
SAVE_EVERY = 100  # images
STATE = "kernel", "bias", "learned", "added"  # attributes of a _ClassSvm that are saved besides its negatives
NEVER = -1e9  # the score of a class without an SVM, below any threshold


def check_installed() -> None:
    """Raise InputError if scikit-learn is missing, before the hours of work that lead to `fit_svms`."""
    if importlib.util.find_spec("sklearn") is None:
        raise InputError(f"SVMs need scikit-learn, got none installed; {install('rcnn')}.")


def fit_svms(
    features: Indexed[np.ndarray],
    regions: Indexed[Regions],
    *,
    class_names: Sequence[str],
    seed: int = 0,
    draft: Path | None = None,
    name: str = "SVMs",
) -> dict[str, np.ndarray]:
    """Fit a linear SVM per class in one pass over the images.

    Positives are the ground truth boxes. The first image contributes all its negatives; later images add hard negatives
    only: those the current SVM scores above -1.0001. After more than 2,000 added negatives the SVM is fitted again, and
    negatives below -1.2 are dropped. The features stay on disk: memory holds those of one image, and the examples of
    one class while its SVM is fitted. With 4,096 features, half of them 0, a thousand examples took 66 MB when
    measured: 33 MB in float64, and as much in liblinear, which holds 16 bytes per feature that is not 0. A class has
    some thousands.

    Args:
      features: [i] -> f32[n,F], fc7 of the regions of image i.
      regions: [i] -> the regions, in the order of the features. Their overlaps take 0.2 MB per image of VOC; for a
        large split compute them in __getitem__, which is called twice per image.
      class_names: K of them, for the log.
      seed: of liblinear and of the sample that estimates the mean length; the result depends on it alone.
      draft: resume file, written every 100 images; the caller deletes it. None saves nothing.
      name: of the progress bar.

    Returns:
      {"kernel": f32[F,K], "bias": f32[K]} with the scaling folded in: features @ kernel + bias are the scores. A class
      without positives or negatives is logged; its kernel is 0 and its bias -1e9, so it is never detected.

    Raises:
      ValueError: features and regions differ in number.
    """
    if len(features) != len(regions):
        raise ValueError(f"fit_svms: features must be of {len(regions)} images, got {len(features)}; store them all.")
    scale = NORM / mean_norm(features, seed=seed)
    positives = _positives(regions, len(class_names))
    svms = [_ClassSvm(each, at, features, scale, seed) for each, at in zip(class_names, positives, strict=True)]
    first = _load_state(svms, load_arrays(draft)) if draft else 0
    for i in progress(range(first, len(features)), name=name, total=len(features), done=first):
        if draft and i > first and i % SAVE_EVERY == 0:
            save_arrays(draft, _state(svms, i))

        # Score the regions with all current SVMs, add the hard negatives of each class.
        kernel, bias = _stack(svms)
        scores, overlaps = features[i] @ (kernel * np.float32(scale)) + bias, regions[i].overlaps
        for svm, score, overlap in zip(svms, scores.T, overlaps.T, strict=True):
            svm.add(i, np.flatnonzero((overlap < NEGATIVE_IOU) & (score > HARD)))
            if i == 0 or svm.added > RETRAIN_AFTER:
                svm.fit()
    for svm in progress(svms, name=f"{name}: last fit", total=len(svms), unit="class"):
        svm.fit()
        if not svm.learned:
            log.warning("%s has no SVM and will not be detected: %s", svm.name, svm.examples())
    kernel, bias = _stack(svms)
    never = np.array([not svm.learned for svm in svms])
    return {"kernel": kernel * np.float32(scale), "bias": np.where(never, np.float32(NEVER), bias)}


def _positives(regions: Indexed[Regions], num_classes: int) -> list[np.ndarray]:
    """Return the ground truth of each class as (image, row): K arrays i64[n,2]."""
    positives: list[list[tuple[int, int]]] = [[] for _ in range(num_classes)]
    for i in range(len(regions)):
        labels = regions[i].labels
        for row in np.flatnonzero(labels):
            positives[labels[row] - 1].append((i, row))
    return [np.array(at, np.int64).reshape(-1, 2) for at in positives]


class _ClassSvm:
    """The SVM of one class and the examples it is fitted to, as (image, row)."""

    def __init__(self, name: str, positives: np.ndarray, features: Indexed[np.ndarray], scale: float, seed: int):
        self.name = name
        self.learned = False  # until the first fit
        self.added = 0  # negatives since the last fit
        self.negatives = np.zeros((0, 2), np.int64)
        self._features, self._scale, self._seed = features, scale, seed
        self._positives = positives
        # Before the first fit every score is 0, so every negative is a hard one.
        self.kernel, self.bias = np.zeros(features[0].shape[1]), 0.0

    def add(self, i: int, rows: np.ndarray) -> None:
        """Add these rows of image i as negatives."""
        if len(self._positives):
            negatives = np.stack([np.full(len(rows), i), rows], axis=1)
            self.negatives = np.concatenate([self.negatives, negatives])
            self.added += len(rows)

    def fit(self) -> None:
        """Fit the SVM to all examples, then drop the easy negatives. No-op without positives or negatives."""
        from sklearn.svm import LinearSVC  # takes seconds to import, and only this stage needs it

        if not len(self._positives) or not len(self.negatives):
            return
        count = len(self._positives)
        examples = np.empty((count + len(self.negatives), len(self.kernel)))  # large: avoid copies
        self._gather(self._positives, examples[:count])
        self._gather(self.negatives, examples[count:])
        sign = np.where(np.arange(len(examples)) < count, 1, -1)
        svm = LinearSVC(
            loss="hinge",
            dual=True,
            C=C,
            intercept_scaling=BIAS,
            class_weight={1: POSITIVE_WEIGHT, -1: 1.0},
            random_state=self._seed,
            tol=TOLERANCE,
            max_iter=10_000,
        ).fit(examples, sign)
        self.kernel, self.bias = svm.coef_[0], np.ravel(svm.intercept_)[0]
        self.learned, self.added = True, 0
        self.negatives = self.negatives[examples[count:] @ self.kernel + self.bias >= EASY]
        log.info("%s: SVM fitted, %s remain", self.name, self.examples())

    def examples(self) -> str:
        """Return the numbers of examples, for the log."""
        return f"{len(self._positives)} positives, {len(self.negatives)} negatives"

    def _gather(self, at: np.ndarray, out: np.ndarray) -> None:
        """Write the scaled features of (image, row) pairs, sorted by image, into f64[n,F]."""
        images, starts = np.unique(at[:, 0], return_index=True)
        for i, part, rows in zip(images, np.split(out, starts[1:]), np.split(at[:, 1], starts[1:]), strict=True):
            part[:] = self._features[i][rows]
        out *= self._scale


def _stack(svms: Sequence[_ClassSvm]) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel f32[F,K] and bias f32[K] of all SVMs, for scaled features."""
    kernel = np.stack([svm.kernel for svm in svms], axis=1)
    return kernel.astype(np.float32), np.array([svm.bias for svm in svms], np.float32)


def _state(svms: Sequence[_ClassSvm], images: int) -> dict[str, np.ndarray]:
    """Return the content of the resume file after `images` images."""
    state = {f"negatives{k}": svm.negatives for k, svm in enumerate(svms)}
    for name in STATE:
        state[name] = np.array([getattr(svm, name) for svm in svms])
    return state | {"images": np.array(images)}


def _load_state(svms: Sequence[_ClassSvm], state: Mapping[str, np.ndarray]) -> int:
    """Restore new SVMs from a resume file, {} if there is none. Returns the number of images done."""
    if not state:
        return 0
    for k, svm in enumerate(svms):
        svm.negatives = state[f"negatives{k}"]
        for name in STATE:
            setattr(svm, name, state[name][k])
    return int(state["images"])
