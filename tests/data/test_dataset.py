import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets.devkit import prepare_devkit
from jaxdet.types import Record


def test_annotations_equal_the_record_without_its_image(shapes_builder):
    dataset = open_split(shapes_builder, "train")
    for i in range(len(dataset)):
        record, annotation = dataset[i], dataset.annotations(i)
        assert not isinstance(annotation, Record)
        assert record.image.shape == (*dataset.image_sizes[i], 3)
        assert record.name == annotation.name == dataset.names[i]
        assert dataset.object_counts[i] == (~record.difficult).sum()
        for field in ("boxes", "labels", "difficult"):
            np.testing.assert_array_equal(getattr(record, field), getattr(annotation, field))
        assert (record.boxes.dtype, record.labels.dtype, record.difficult.dtype) == (np.float32, np.int32, bool)


def test_the_fingerprint_changes_with_the_images(shapes_builder):
    key = open_split(shapes_builder, "train").fingerprint
    assert open_split(shapes_builder, "train").fingerprint == key
    reordered, resized, repainted = (open_split(shapes_builder, "train") for _ in range(3))
    reordered.names.reverse()
    resized.image_sizes[3, 1] += 1
    repainted._records[0] = repainted._records[1]  # another image and other boxes under the same name
    others = {dataset.fingerprint for dataset in (reordered, resized, repainted, open_split(shapes_builder, "test"))}
    assert len(others | {key}) == 5


def test_the_error_for_an_unknown_split_names_the_nearest(shapes_builder):
    with pytest.raises(InputError, match="split 'valid' is not in .* did you mean 'validation'"):
        open_split(shapes_builder, "valid")


def test_splits_are_added_and_sliced_as_in_tfds(shapes_builder):
    train, test = open_split(shapes_builder, "train"), open_split(shapes_builder, "test")
    summed = open_split(shapes_builder, "test+train[2:5]+train[-1:]")
    assert summed.names == [*test.names, *train.names[2:5], train.names[-1]]
    assert len(open_split(shapes_builder, "train[:50%]")) == round(len(train) / 2)
    for i, (other, j) in enumerate([(test, k) for k in range(len(test))] + [(train, 2), (train, 3), (train, 4)]):
        np.testing.assert_array_equal(summed[i].image, other[j].image)
        np.testing.assert_array_equal(summed[i].boxes, other[j].boxes)


def test_an_image_that_comes_twice_is_refused(shapes_builder):
    with pytest.raises(InputError, match="image 'train_00004' must come once, got it twice"):
        open_split(shapes_builder, "train[:5]+train[4:]")


def test_ordinary_images_are_stored_byte_for_byte(devkit, tmp_path):
    files = [devkit.image("a"), devkit.image("b", suffix=".png")]
    for name in "ab":
        devkit.annotation(name, ("cat", 1, 1, 9, 9))
    devkit.split("train", "a", "b")
    builder = prepare_devkit(devkit=str(devkit.folder), splits=("train",), data_dir=str(tmp_path))
    source = builder.as_data_source("train", decoders={"image": tfds.decode.SkipDecoding()})
    for i, file in enumerate(files):
        assert source[i]["image"] == file.read_bytes()
