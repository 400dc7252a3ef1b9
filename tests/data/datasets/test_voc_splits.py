import functools

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets import features, image_index
from jaxdet.data.datasets.voc import CLASS_NAMES, prepare_voc
from jaxdet.data.datasets.voc_splits import open_voc

TRAINVAL07, TRAINVAL12 = ["000005", "000007", "000009"], ["2008_000008", "2008_000015"]


@pytest.fixture
def opened(official, tmp_path):
    return functools.partial(
        open_voc, data_dir=str(tmp_path / "data"), archives=str(official.archives), devkit="", mirror=""
    )


def test_the_sums_of_the_papers(opened):
    test07 = ["000001", "000002"]
    for split, names in {
        "2007/trainval": TRAINVAL07,
        "2007/test": test07,
        "2012/val": TRAINVAL12[1:],
        "2007/trainval+2012/trainval": TRAINVAL07 + TRAINVAL12,  # 07+12
        "2007/trainval + 2007/test + 2012/trainval": TRAINVAL07 + test07 + TRAINVAL12,  # 07++12
        "2007/train+2007/validation+2012/train+2012/validation": TRAINVAL07 + TRAINVAL12,
        "2012/train+2007/train[1:]": [TRAINVAL12[0], TRAINVAL07[1]],
    }.items():
        dataset = opened(split=split)
        assert dataset.names == names
        assert len(dataset) == len(dataset.image_sizes) == len(dataset.object_counts) == len(names)
        assert [dataset[i].name for i in range(len(dataset))] == names
        assert dataset.class_names == CLASS_NAMES


def test_a_record_is_the_same_in_every_sum(opened, tmp_path):
    both, single = opened(split="2007/trainval+2012/trainval"), opened(split="2012/validation")
    assert both.names[4] == single.names[0]
    np.testing.assert_array_equal(both[4].image, single[0].image)
    np.testing.assert_array_equal(both[4].boxes, single[0].boxes)
    assert both.fingerprint == opened(split="2007/train+2007/val+2012/trainval").fingerprint
    assert both.fingerprint != opened(split="2012/trainval+2007/trainval").fingerprint


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("2012/test", "'2012/test' has no boxes .* secret; name one of train, validation of 2012, or 2007/test"),
        ("trainval", "'trainval' must be a year and a split of VOC"),
        ("2007/trainvall", "'2007/trainvall' must be a year and a split"),
        ("2008/train", "'2008/train' must be a year and a split"),
        ("2007/train+", "'' must be a year and a split"),
        ("2007/trainval[:2]", "slice 2007/train and 2007/validation"),
        ("2007/train[9:]", r"must be a sum of splits or slices .*\[9:2\]"),
        ("2007/train[:0]", "must hold an image, got none"),
        ("2007/train+2007/trainval", "image '000005' must come once, got it twice"),
    ],
)
def test_splits_that_make_no_sense(opened, split, words):
    with pytest.raises(InputError, match=words):
        opened(split=split)


def make_tfds_copy(data_dir, official):
    """Prepares 2007 as TFDS's own builder does: version 5.0.0, in shuffled order, without an image index."""

    class Voc(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("5.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="2007"), tfds.core.BuilderConfig(name="2012")]

        def _info(self):
            return self.dataset_info_from_configs(features=features.features(CLASS_NAMES))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in ("test", "train", "validation")}

        def _generate_examples(self, split):
            source = opened_archives.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
            for i, name in enumerate(opened_archives.info.metadata[split]["names"]):
                record = open_split(opened_archives, split)[i]
                objects = [
                    features.VocObject(CLASS_NAMES[label - 1], tuple(box), difficult=difficult)
                    for label, box, difficult in zip(record.labels, record.boxes, record.difficult, strict=True)
                ]
                yield name, features.example(f"{name}.jpg", source[i]["image"], *record.image.shape[:2], objects)

    opened_archives = prepare_voc(year="2007", data_dir=str(data_dir / "ours"), archives=str(official.archives))
    Voc(data_dir=str(data_dir), config="2007").download_and_prepare(file_format="array_record")
    return opened_archives


def test_a_copy_prepared_by_tfds_itself_is_read(official, opened, tmp_path, monkeypatch):
    ours = make_tfds_copy(tmp_path / "data", official)
    dataset = opened(split="2007/trainval", archives=str(tmp_path / "nothing here"))
    assert sorted(dataset.names) == TRAINVAL07
    assert not (tmp_path / "data/voc/2007/1.0.0").exists()
    want = {record.name: record for split in ("train", "validation") for record in open_split(ours, split)}
    for i in range(len(dataset)):
        record = dataset[i]
        for field in ("image", "boxes", "labels", "difficult"):
            np.testing.assert_array_equal(getattr(record, field), getattr(want[record.name], field))
        assert (dataset.image_sizes[i].tolist(), dataset.object_counts[i]) == ([60, 80], 1)
    assert len(list((tmp_path / "data/image_index").iterdir())) == 2
    monkeypatch.setattr(image_index, "_from_records", None)  # the second time the kept index serves
    assert opened(split="2007/trainval").fingerprint == dataset.fingerprint


def test_the_index_of_a_copy_that_cannot_be_kept_is_made_each_time(official, opened, tmp_path, caplog):
    make_tfds_copy(tmp_path / "data", official)
    (tmp_path / "data/image_index").touch()
    assert sorted(opened(split="2007/test").names) == ["000001", "000002"]
    assert "is made anew each time" in caplog.text


def test_a_copy_in_a_form_that_tensorflow_must_read_is_left_aside(official, opened, tmp_path, caplog):
    make_tfds_copy(tmp_path / "data", official)
    info = tmp_path / "data/voc/2007/5.0.0/dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    assert opened(split="2007/test").names == ["000001", "000002"]  # in the order of the list: our own copy
    assert "5.0.0 is left aside: it is stored as tfrecord" in caplog.text
