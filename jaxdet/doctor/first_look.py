"""The most important findings about a training split, at once: no image is decoded, and few annotations are read."""

import numpy as np

from jaxdet.config.schema import Experiment
from jaxdet.doctor.advice import advise
from jaxdet.doctor.finding import Finding, by_severity
from jaxdet.doctor.objects import object_findings, resized_objects
from jaxdet.evaluation.tables import GroundTruthTable
from jaxdet.types import Dataset

MOST = 2
IMAGES = 500  # whose annotations are read, spread over the split


def first_look(dataset: Dataset, experiment: Experiment) -> list[Finding]:
    """Return at most MOST findings that have a flag or are more than a note."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), IMAGES)).round().astype(int))
    annotations = [dataset.annotations(i) for i in chosen.tolist()]
    truth = GroundTruthTable(
        image=np.repeat(np.arange(len(chosen)), [len(each.labels) for each in annotations]).astype(np.int32),
        boxes=np.concatenate([each.boxes for each in annotations]),
        labels=np.concatenate([each.labels for each in annotations]),
        difficult=np.concatenate([each.difficult for each in annotations]),
    )
    image_sizes, options = dataset.image_sizes[chosen], experiment.input
    objects = resized_objects(
        truth,
        image_sizes,
        short_side=options.short_side,
        long_side=options.long_side,
        use_difficult=options.use_difficult,
    )
    findings = object_findings(objects, experiment) + advise(truth, image_sizes, experiment)
    return [each for each in by_severity(findings) if each.flags or each.severity != "note"][:MOST]
