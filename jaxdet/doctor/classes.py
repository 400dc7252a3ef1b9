"""Findings about classes: missing in a split, rare, or the same under two names."""

import difflib
import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np

from jaxdet.doctor.finding import Finding
from jaxdet.evaluation.tables import GroundTruthTable

TOPIC = "classes"
RARE = 20  # objects
LIKE = 0.9  # of difflib's ratio, from which two names may be one


def count_classes(truth: GroundTruthTable, class_names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return class -> (objects, images that have one)."""
    counts = {}
    for label, name in enumerate(class_names, 1):
        images = truth.image[truth.labels == label]
        counts[name] = (len(images), len(np.unique(images)))
    return counts


def class_findings(counts: Mapping[str, Mapping[str, tuple[int, int]]]) -> list[Finding]:
    """Return the findings about the classes.

    Args:
      counts: part -> class -> (objects, images), of 'train' and maybe 'validation' and 'test'.
    """
    trained = {name: objects for name, (objects, _) in counts["train"].items()}
    findings = []
    missing = tuple(name for name, objects in trained.items() if not objects)
    present = [name for name, objects in trained.items() if objects]
    if missing and present:
        text = f"classes without an object in train, so they are not learned ({len(missing)} of {len(trained)})"
        flag = f"--config.dataset.class_names={','.join(present)}"
        flags = () if any("," in name for name in present) else (flag,)
        findings.append(Finding("warning", TOPIC, text, missing, flags))
    elif missing:
        findings.append(Finding("error", TOPIC, "train has no object", missing))
    for part, of_part in counts.items():
        unseen = tuple(name for name in present if part != "train" and not of_part[name][0])
        if unseen:
            text = f"classes without an object in {part}, which cannot score them ({len(unseen)} of {len(present)})"
            findings.append(Finding("note", TOPIC, text, unseen))
    rare = tuple(f"{name} ({trained[name]})" for name in present if trained[name] < RARE)
    if rare:
        text = f"classes with fewer than {RARE} objects in train ({len(rare)} of {len(present)})"
        findings.append(Finding("warning", TOPIC, text, rare))
    return findings + _one_class_by_two_names(trained)


def _one_class_by_two_names(objects: Mapping[str, int]) -> list[Finding]:
    findings = []
    for first, second in itertools.combinations(objects, 2):
        plain = [_plain(name) for name in (first, second)]
        matcher = difflib.SequenceMatcher(None, plain[0], plain[1])
        words = [re.sub(r"\d", "", name) for name in plain]  # class10 and class11 are two classes
        alike = min(map(len, words)) > 4 and words[0] != words[1] and matcher.ratio() >= LIKE
        if plain[0] == plain[1] or alike:
            names = tuple(f"{name!r} ({objects[name]})" for name in (first, second))
            text = "two classes may be one by two names; rename one in the annotations"
            findings.append(Finding("warning", TOPIC, text, names))
    return findings


def _plain(name: str) -> str:
    """Return a name without letter case, white space, punctuation and a plural's s; as it is where nothing is left."""
    return "".join(filter(str.isalnum, name.casefold())).removesuffix("s") or name
