"""Opening the splits of an experiment; the batches are tested in data/test_pipeline.py."""

import shutil

import jax
import pytest

from configs import faster_devkit, faster_voc
from jaxdet.checks import InputError
from jaxdet.config.parse import parse
from jaxdet.inputs import open_evaluation_part, open_part, open_training_part
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


def test_a_split_without_annotations_is_opened_for_evaluation_with_the_trained_classes(devkit):
    devkit.image("b")
    devkit.split("test", "b")
    shutil.rmtree(devkit.folder / "Annotations")
    experiment = experiment_of(devkit)
    test = open_evaluation_part(experiment, "test", ("dog", "cat"))
    assert not test.annotated
    assert (test.dataset.names, test.dataset.class_names) == (["b"], ("dog", "cat"))
    named = open_evaluation_part(experiment_of(devkit, class_names=("bird",)), "test", ("dog", "cat"))
    assert named.dataset.class_names == ("bird",)
    for part in ("train", "test"):
        with pytest.raises(InputError, match="has no folder Annotations"):
            open_part(experiment, part)


def test_images_without_an_annotation_in_an_annotated_split_are_skipped(devkit, caplog):
    devkit.image("b")
    devkit.split("test", "b", "a")
    test = open_evaluation_part(experiment_of(devkit), "test", ("cat", "dog"))
    assert test.annotated and test.dataset.names == ["a"]
    assert "1 skipped: annotation missing from Annotations: b" in caplog.text


def test_the_test_images_of_voc2012_are_refused_for_training_and_validation():
    config = faster_voc.get_config()
    config.splits.update({"train": "2012/test", "validation": "2012/test[:10]"})
    experiment = parse(config.to_dict())
    for part in ("train", "validation"):
        with pytest.raises(InputError, match="split '2012/test.*' has no boxes to train on or to score with"):
            open_part(experiment, part)


def test_comma_separated_class_names_are_several_classes(devkit):
    for text in ("dog,cat", "dog, cat", "(dog,cat)"):
        assert open_training_part(experiment_of(devkit, class_names=(text,))).dataset.class_names == ("dog", "cat")


@pytest.mark.parametrize("class_names", [("cat", "dgo"), ("cat,dgo",)])
def test_a_misspelt_class_is_refused_with_the_nearest(devkit, class_names):
    experiment = experiment_of(devkit, class_names=class_names)
    with pytest.raises(InputError, match=r"no annotation in .* has 'dgo'; did you mean 'dog'\? .they have: cat, dog"):
        open_training_part(experiment)


def test_a_class_that_only_another_split_has_is_told(devkit, caplog):
    devkit.annotation("b", ("ghost", 1, 1, 9, 9))
    assert open_training_part(experiment_of(devkit)).dataset.class_names == ("cat", "dog", "ghost")
    assert "classes without an object to train on in splits.train: 1 of 3" in caplog.text


@pytest.mark.parametrize("objects", [(), (("cat", 5, 5, 5, 5),), ((*CAT, {"difficult": 1}),)])
def test_a_training_split_without_objects_is_refused(devkit, objects):
    devkit.annotation("a", *objects)
    devkit.annotation("b", CAT)
    with pytest.raises(InputError, match="the 1 images must have objects to train on, got none of the classes cat"):
        open_training_part(experiment_of(devkit))


def test_difficult_objects_are_enough_where_they_are_used(devkit):
    devkit.annotation("a", (*CAT, {"difficult": 1}))
    assert len(open_training_part(experiment_of(devkit, **{"input.use_difficult": True})).dataset) == 1
    with pytest.raises(InputError, match="1 marked difficult .set input.use_difficult"):
        open_training_part(experiment_of(devkit))


def test_the_shapes_of_a_split_are_those_of_its_batches(devkit):
    split = open_part(experiment_of(devkit), "train")
    batch = next(split.train_batches(seed=0, batch_size=2)(0))
    (shapes,) = split.train_shapes(seed=0, batch_size=2, steps=5)(0)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), batch) == jax.tree.map(lambda x: (x.shape, x.dtype), shapes)
