"""The cases of a whole folder are in tests/test_inputs.py."""

import pytest

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.training_split import check_training_split


def test_every_class_must_be_in_the_annotations(shapes_builder):
    dataset = open_split(shapes_builder, "train")
    options = {"use_difficult": False, "source": "shapes"}
    check_training_split(dataset, annotated=dataset.class_names, **options)
    with pytest.raises(InputError, match="no annotation in shapes has"):
        check_training_split(dataset, annotated=dataset.class_names[1:], **options)
