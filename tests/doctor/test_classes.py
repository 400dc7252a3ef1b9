import numpy as np
import pytest

from jaxdet.doctor.classes import class_findings, count_classes
from jaxdet.evaluation.tables import GroundTruthTable


def counts(**objects):
    return {name.replace("_", " "): (count, count) for name, count in objects.items()}


def test_objects_and_images_are_counted_per_class():
    table = GroundTruthTable(np.array([0, 0, 1]), np.zeros((3, 4)), np.array([1, 1, 1]), np.zeros(3, bool))
    assert count_classes(table, ("cat", "dog")) == {"cat": (3, 2), "dog": (0, 0)}


def test_classes_missing_in_train_are_named_with_the_flag_that_leaves_them_out():
    (finding,) = class_findings({"train": counts(cat=30, dog=0, cow=30)})
    assert (finding.severity, finding.names) == ("warning", ("dog",))
    assert finding.text == "classes without an object in train, so they are not learned (1 of 3)"
    assert finding.flags == ("--config.dataset.class_names=cat,cow",)
    (finding,) = class_findings({"train": counts(cat=0)})
    assert (finding.severity, finding.text) == ("error", "train has no object")


def test_classes_missing_in_another_split_cannot_be_scored():
    (finding,) = class_findings({"train": counts(cat=30, dog=30), "test": counts(cat=3, dog=0)})
    assert (finding.severity, finding.names) == ("note", ("dog",))
    assert finding.text == "classes without an object in test, which cannot score them (1 of 2)"


def test_rare_classes_are_named_with_their_objects():
    (finding,) = class_findings({"train": counts(cat=30, dog=19)})
    assert (finding.severity, finding.names) == ("warning", ("dog (19)",))
    assert finding.text == "classes with fewer than 20 objects in train (1 of 2)"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Cat", "cat", True),
        ("traffic light", "traffic-light", True),
        ("motorbike", "motorbikes", True),
        ("raccoon", "racoon", True),
        ("cat", "car", False),
        ("class10", "class11", False),
        ("with_mask", "without_mask", False),
    ],
)
def test_two_names_of_one_class_are_seen(first, second, same):
    findings = class_findings({"train": {first: (30, 30), second: (30, 30)}})
    assert [finding.names for finding in findings] == ([(f"{first!r} (30)", f"{second!r} (30)")] if same else [])
