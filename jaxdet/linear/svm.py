"""R-CNN's classifiers: one linear SVM a class, its negatives mined (R-CNN, 2.3 and appendix B; rcnn_train.m)."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxdet.io.keyed_folder import load_arrays, save_arrays
from jaxdet.io.progress import progress
from jaxdet.linear.features import mean_norm
from jaxdet.linear.regions import Regions

logger = logging.getLogger(__name__)

NORM = 20.0  # the features are scaled to this mean length, which C is meant for
C, BIAS, POSITIVE_WEIGHT = 1e-3, 10.0, 2.0
NEGATIVE_IOU = 0.3  # below it, with the class's own ground truth, a region is a negative
HARD, EASY = -1.0001, -1.2  # scores above which negatives are added, and below which they are dropped
RETRAIN_AFTER = 2000  # added negatives
TOLERANCE = 1e-3  # liblinear's own is 0.1, which ends 0.25 % above the minimum; a third more time
KEEP_EVERY = 100  # images
STATE = "kernel", "bias", "learned", "added"  # of a class, beside its negatives
NEVER = -1e9  # the score of a class that could not be learned, below any threshold


def fit_svms(
    features: Sequence[np.ndarray],
    regions: Sequence[Regions],
    *,
    class_names: Sequence[str],
    seed: int = 0,
    draft: Path | None = None,
    name: str = "SVMs",
) -> dict[str, np.ndarray]:
    """Fits a linear SVM for each class in one pass over the images.

    Positives are the ground truth boxes. The first image gives all its negatives, every other those that the SVM of the
    moment scores above -1.0001; after more than 2,000 added ones it is fitted anew and drops those below -1.2. The
    features stay on disk: memory holds one image's, and one class's examples while it is fitted. With 4,096 features,
    half of them 0, a thousand examples were measured to take 66 MB: 33 MB in float64, and as much in liblinear, which
    holds 16 bytes for each that is not 0. There are some thousands.

    Args:
      features: [i] -> f32[n,F], fc7 of the regions of image i.
      regions: [i] -> the regions, in the order of the features. As their overlaps are 0.2 MB an image of VOC, a large
        split makes them when they are asked for, twice each.
      class_names: K of them, for the log.
      seed: of liblinear and of the regions whose mean length is taken; the same seed, the same SVMs.
      draft: a file that keeps the pass every 100 images, to go on from there; it is left. None keeps nothing.
      name: what its progress is called.

    Returns:
      {"kernel": f32[F,K], "bias": f32[K]} with the scaling folded in: features @ kernel + bias are the scores. A class
      without positives or negatives is named in the log; its kernel is 0 and its bias -1e9, so it is never detected.

    Raises:
      ValueError: features and regions differ in number.
    """
    if len(features) != len(regions):
        raise ValueError(f"fit_svms: features must be of {len(regions)} images, got {len(features)}; store them all.")
    scale = NORM / mean_norm(features, seed=seed)
    positives = _positives(regions, len(class_names))
    miners = [_Miner(each, at, features, scale, seed) for each, at in zip(class_names, positives, strict=True)]
    first = _go_on(miners, load_arrays(draft)) if draft else 0
    for i in progress(range(first, len(features)), name=name, total=len(features), done=first):
        if draft and i > first and i % KEEP_EVERY == 0:
            save_arrays(draft, _begun(miners, i))
        kernel, bias = _stack(miners)
        scores, overlaps = features[i] @ (kernel * np.float32(scale)) + bias, regions[i].overlaps
        for miner, score, overlap in zip(miners, scores.T, overlaps.T, strict=True):
            miner.add(i, np.flatnonzero((overlap < NEGATIVE_IOU) & (score > HARD)))
            if i == 0 or miner.added > RETRAIN_AFTER:
                miner.fit()
    for miner in miners:
        miner.fit()
        if not miner.learned:
            logger.warning("%s has no SVM and will not be detected: %s", miner.name, miner.examples())
    kernel, bias = _stack(miners)
    never = np.array([not miner.learned for miner in miners])
    return {"kernel": kernel * np.float32(scale), "bias": np.where(never, np.float32(NEVER), bias)}


def _positives(regions, num_classes):
    """Where the ground truth of each class is: K arrays i64[n,2] of (image, row)."""
    found = [[] for _ in range(num_classes)]
    for i in range(len(regions)):
        labels = regions[i].labels
        for row in np.flatnonzero(labels):
            found[labels[row] - 1].append((i, row))
    return [np.array(at, np.int64).reshape(-1, 2) for at in found]


def _stack(miners):
    """Kernel f32[F,K] and bias f32[K] of all SVMs, for scaled features."""
    kernel = np.stack([miner.kernel for miner in miners], axis=1)
    return kernel.astype(np.float32), np.array([miner.bias for miner in miners], np.float32)


def _begun(miners, images: int) -> dict[str, np.ndarray]:
    """The pass after so many images."""
    made = {f"negatives{k}": miner.negatives for k, miner in enumerate(miners)}
    for name in STATE:
        made[name] = np.array([getattr(miner, name) for miner in miners])
    return made | {"images": np.array(images)}


def _go_on(miners, begun: Mapping[str, np.ndarray]) -> int:
    """Brings fresh miners to where _begun saw them; returns the image to go on with."""
    for k, miner in enumerate(miners if begun else ()):
        miner.negatives = begun[f"negatives{k}"]
        for name in STATE:
            setattr(miner, name, begun[name][k])
    return int(begun.get("images", 0))


class _Miner:
    """The SVM of one class and the examples that it is fitted to, kept as (image, row)."""

    def __init__(self, name, positives, features, scale, seed):
        self.name, self.added, self.learned = name, 0, False
        self._features, self._scale, self._seed = features, scale, seed
        self._positives, self.negatives = positives, np.zeros((0, 2), np.int64)
        # Before the first fit every score is 0, so every negative is a hard one.
        self.kernel, self.bias = np.zeros(features[0].shape[1]), 0.0

    def add(self, i, rows):
        """Takes these rows of image i as negatives."""
        if len(self._positives):
            new = np.stack([np.full(len(rows), i), rows], axis=1)
            self.negatives = np.concatenate([self.negatives, new])
            self.added += len(rows)

    def fit(self):
        """Fits the SVM to all examples, then drops the easy negatives."""
        from sklearn.svm import LinearSVC  # seconds to import, which only this stage should take

        if not len(self._positives) or not len(self.negatives):
            return
        count = len(self._positives)
        examples = np.empty((count + len(self.negatives), len(self.kernel)))  # large: no part of it is copied
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
        self.kernel, self.bias, self.learned, self.added = svm.coef_[0], svm.intercept_[0], True, 0
        self.negatives = self.negatives[examples[count:] @ self.kernel + self.bias >= EASY]
        logger.info("%s: SVM fitted, %s stay", self.name, self.examples())

    def examples(self):
        return f"{len(self._positives)} positives, {len(self.negatives)} negatives"

    def _gather(self, at, out):
        """Writes the scaled features of (image, row) pairs, whose images ascend, into f64[n,F]."""
        images, starts = np.unique(at[:, 0], return_index=True)
        for i, part, rows in zip(images, np.split(out, starts[1:]), np.split(at[:, 1], starts[1:]), strict=True):
            part[:] = self._features[i][rows]
        out *= self._scale
