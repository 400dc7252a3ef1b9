"""Opening the splits of an experiment; the batches are tested in data/test_pipeline.py."""

import pytest

from configs import faster_devkit
from jaxdet.checks import InputError
from jaxdet.config.parse import parse
from jaxdet.inputs import open_part
from tests.devkit import Devkit

CAT = ("cat", 11, 6, 30, 40)


@pytest.fixture
def devkit(tmp_path) -> Devkit:
    """A folder of one training image with a cat and a dog."""
    devkit = Devkit(tmp_path / "VOC")
    devkit.image("a")
    devkit.annotation("a", CAT, ("dog", 1, 1, 9, 9))
    devkit.split("train", "a")
    return devkit


def experiment_of(devkit, *, class_names=(), **values):
    config = faster_devkit.get_config()
    data_dir = str(devkit.folder.parent / "data")
    config.dataset.update({"devkit": str(devkit.folder), "data_dir": data_dir, "class_names": class_names})
    config.update_from_flattened_dict(values)
    return parse(config.to_dict())


def test_a_test_split_without_annotations_is_refused_only_where_it_is_used(devkit):
    devkit.image("b")
    devkit.split("test", "b")
    experiment = experiment_of(devkit)
    assert open_part(experiment, "train").dataset.names == ["a"]
    with pytest.raises(InputError, match="annotation missing from Annotations: b"):
        open_part(experiment, "test")
