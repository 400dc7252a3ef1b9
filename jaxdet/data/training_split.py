"""The check that a training split has objects to learn from, before the long work starts."""

import logging
from collections.abc import Collection

import numpy as np

from jaxdet.checks import InputError, listed, nearest
from jaxdet.types import Dataset

log = logging.getLogger(__name__)

NAMES_SHOWN = 30


def check_training_split(dataset: Dataset, *, use_difficult: bool, annotated: Collection[str], source: str) -> None:
    """Check that there is something to learn, for every class; warn of classes without an object in this split.

    Args:
      dataset: the training split.
      use_difficult: whether objects marked difficult are trained on.
      annotated: the class names in the annotations of all splits.
      source: of the data, for the errors.

    Raises:
      InputError: no annotation has one of the classes, or the split has no object to train on.
    """
    for name in dataset.class_names:
        if name not in annotated:
            raise InputError(
                f"class_names: no annotation in {source} has {name!r}; {nearest(name, annotated)} (they have: "
                f"{listed(sorted(annotated), NAMES_SHOWN)})"
            )
    objects = np.zeros(len(dataset.class_names) + 1, np.int64)
    difficult = 0
    for i in range(len(dataset)):
        annotation = dataset.annotations(i)
        used = ~annotation.difficult | use_difficult
        difficult += int((~used).sum())
        np.add.at(objects, annotation.labels[used], 1)
    if not objects.any():
        cause = f", and {difficult} marked difficult (set input.use_difficult to use them)" if difficult else ""
        raise InputError(
            f"splits.train of {source}: the {len(dataset)} images must have objects to train on, got none of the "
            f"classes {listed(dataset.class_names, NAMES_SHOWN)}{cause}; see the warnings above."
        )
    absent = [name for name, count in zip(dataset.class_names, objects[1:].tolist(), strict=True) if not count]
    if absent:
        log.warning(
            "classes without an object to train on in splits.train: %d of %d; they are in other annotations only and "
            "are not learned: %s",
            *(len(absent), len(dataset.class_names), listed(absent, NAMES_SHOWN)),
        )
