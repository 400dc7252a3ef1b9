import functools
import logging
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets import features
from jaxdet.data.datasets.voc import CLASS_NAMES, Voc, is_annotated, prepare_voc

TRAINVAL07, TRAINVAL12 = ["000005", "000007", "000009"], ["2008_000008", "2008_000015"]
BOXES = np.array([[8, 10, 31, 47], [0, 0, 80, 60]], np.float32)  # of every image that the fixture makes


@pytest.fixture
def prepare(official, tmp_path):
    return functools.partial(prepare_voc, data_dir=str(tmp_path / "data"), archives=str(official.archives))


def assert_as_annotated(dataset, home):
    """Compare every box, label and flag with the XML; boxes are exact."""
    assert len(dataset) > 0
    for i in range(len(dataset)):
        record, root = dataset.annotations(i), ElementTree.parse(home / f"Annotations/{dataset.names[i]}.xml").getroot()
        elements = root.findall("object")
        corners = [
            [float(element.find("bndbox").findtext(k)) for k in ("xmin", "ymin", "xmax", "ymax")]
            for element in elements
        ]
        np.testing.assert_array_equal(record.boxes, np.array(corners, np.float32) - np.float32([1, 1, 0, 0]))
        assert [CLASS_NAMES[label - 1] for label in record.labels] == [element.findtext("name") for element in elements]
        assert record.difficult.tolist() == [element.findtext("difficult") == "1" for element in elements]
        assert dataset.object_counts[i] == (~record.difficult).sum()


def test_the_archives_are_prepared_as_three_splits(official, prepare, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    builder = prepare(year="2007")
    assert builder.data_path == tmp_path / "data/voc/2007/1.0.0"
    names = {split: open_split(builder, split).names for split in builder.info.splits}
    assert names == {"train": ["000005", "000007"], "validation": ["000009"], "test": ["000001", "000002"]}
    for split in names:
        assert_as_annotated(open_split(builder, split), official.devkit / "VOC2007")
    train = open_split(builder, "train")
    np.testing.assert_array_equal(train[0].boxes, BOXES)
    assert train[0].labels.tolist() == [12, 15]
    assert train[0].difficult.tolist() == [False, True]
    assert train.image_sizes.tolist() == [[60, 80]] * 2
    assert train.class_names == CLASS_NAMES == tuple(sorted(CLASS_NAMES))
    assert len(CLASS_NAMES) == 20
    assert "VOC 2007, train: 2 images" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_images_are_stored_byte_for_byte_with_the_features_of_tfds_voc(official, prepare):
    builder = prepare(year="2012")
    assert builder.info.features.get_tensor_info() == features.features(CLASS_NAMES).get_tensor_info()
    example = builder.as_data_source("train", decoders={"image": tfds.decode.SkipDecoding()})[0]
    assert example["image"] == (official.devkit / "VOC2012/JPEGImages/2008_000008.jpg").read_bytes()
    assert example["image/filename"] == b"2008_000008.jpg"
    objects = {key: np.array(value).tolist() for key, value in example["objects"].items()}
    assert (objects["is_truncated"], objects["pose"]) == ([False, True], [4, 2])
    assert (list(example["labels"]), list(example["labels_no_difficult"])) == ([11, 14], [11])
    assert list(builder.info.splits) == ["train", "validation"]


def test_a_prepared_copy_needs_no_archives(official, prepare):
    first = prepare(year="2012")
    for file in official.archives.glob("*.tar"):
        file.unlink()
    assert prepare(year="2012").data_path == first.data_path


def test_an_extracted_devkit_gives_the_same_records(official, prepare, tmp_path):
    home = official.devkit / "VOC2007"
    from_archives = prepare(year="2007")
    for path in (official.devkit, official.devkit.parent, home):
        builder = prepare(year="2007", devkit=str(path))
        assert builder.data_path.parent.parent == tmp_path / "data/voc"
        assert builder.data_path != from_archives.data_path
        for split in ("train", "validation", "test"):
            assert open_split(builder, split).fingerprint == open_split(from_archives, split).fingerprint
            assert_as_annotated(open_split(builder, split), home)


def test_a_devkit_is_prepared_again_when_its_splits_change(official, prepare):
    lists = official.devkit / "VOC2007/ImageSets/Main"
    (lists / "test.txt").rename(lists / "hidden")
    assert list(prepare(year="2007", devkit=str(official.devkit)).info.splits) == ["train", "validation"]
    (lists / "hidden").rename(lists / "test.txt")
    assert list(prepare(year="2007", devkit=str(official.devkit)).info.splits) == ["train", "validation", "test"]
    for split in ("train", "val", "test"):
        (lists / f"{split}.txt").unlink()
    with pytest.raises(InputError, match="has none of train.txt, val.txt, test.txt"):
        prepare(year="2007", devkit=str(official.devkit))


def test_a_devkit_of_the_other_year_is_refused(official, prepare):
    with pytest.raises(InputError, match="VOC2012 must be of the year 2007"):
        prepare(year="2007", devkit=str(official.devkit / "VOC2012"))
    with pytest.raises(InputError, match="VOC: year must be one of 2007, 2012, got '2006'; did you mean '2007'"):
        prepare(year="2006")


@pytest.mark.parametrize(
    "member", ["JPEGImages/2008_000015.jpg", "Annotations/2008_000015.xml", "ImageSets/Main/val.txt"]
)
def test_a_missing_member_is_named_and_no_record_is_left(official, prepare, tmp_path, member):
    official.pack("VOCtrainval_11-May-2012.tar", "2012", "train", "val", without=member)
    with pytest.raises(InputError, match=f"VOCdevkit/VOC2012/{member} must be in VOCtrainval_11-May-2012.tar"):
        prepare(year="2012")
    assert not list((tmp_path / "data").rglob("*.array_record*"))


@pytest.mark.parametrize("file", ["JPEGImages/000009.jpg", "Annotations/000009.xml"])
def test_a_devkit_lacking_a_listed_file_is_refused(official, prepare, file):
    (official.devkit / "VOC2007" / file).unlink()
    with pytest.raises(InputError, match=f"{file} must be readable, got No such file"):
        prepare(year="2007", devkit=str(official.devkit))


@pytest.mark.parametrize(("file", "content"), [("Annotations/000009.xml", "<"), ("JPEGImages/000009.jpg", "no image")])
def test_a_damaged_file_of_a_devkit_is_named(official, prepare, tmp_path, file, content):
    (official.devkit / "VOC2007" / file).write_text(content)
    with pytest.raises(InputError, match=file.rpartition("/")[2]):
        prepare(year="2007", devkit=str(official.devkit))
    assert not list((tmp_path / "data").rglob("*.array_record*"))


def test_a_wrong_checksum_is_refused_and_no_record_is_left(official, prepare, tmp_path):
    archive = official.archives / "VOCtest_06-Nov-2007.tar"
    content = bytearray(archive.read_bytes())
    content[5000] ^= 1
    archive.write_bytes(content)
    with pytest.raises(InputError, match="archive VOCtest_06-Nov-2007.tar must have its official size and sha256"):
        prepare(year="2007")
    archive.write_bytes(content[:-1])
    with pytest.raises(InputError, match="archive VOCtest_06-Nov-2007.tar must have its official size and sha256"):
        prepare(year="2007")
    assert not list((tmp_path / "data").rglob("*.array_record*"))


def test_the_builder_reads_archives_from_tfds_manual_folder(official, tmp_path):
    """The way of any TFDS builder: Voc(...).download_and_prepare()."""
    manual = tmp_path / "tfds/downloads/manual"
    manual.parent.mkdir(parents=True)
    official.archives.rename(manual)
    builder = Voc(data_dir=str(tmp_path / "tfds"), config="2012")
    builder.download_and_prepare(file_format="array_record")
    assert open_split(builder, "validation").names == ["2008_000015"]


def test_sums_of_splits_as_in_the_papers(open_official):
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
        dataset = open_official(split=split)
        assert dataset.names == names
        assert len(dataset) == len(dataset.image_sizes) == len(dataset.object_counts) == len(names)
        assert [dataset[i].name for i in range(len(dataset))] == names
        assert dataset.class_names == CLASS_NAMES


def test_a_record_is_the_same_in_every_sum(open_official):
    both, single = open_official(split="2007/trainval+2012/trainval"), open_official(split="2012/validation")
    assert both.names[4] == single.names[0]
    np.testing.assert_array_equal(both[4].image, single[0].image)
    np.testing.assert_array_equal(both[4].boxes, single[0].boxes)
    assert both.fingerprint == open_official(split="2007/train+2007/val+2012/trainval").fingerprint
    assert both.fingerprint != open_official(split="2012/trainval+2007/trainval").fingerprint


@pytest.mark.parametrize("devkit", [False, True])
def test_the_test_images_of_2012_are_opened_without_objects(official, open_official, tmp_path, devkit):
    source = {"devkit": str(official.devkit)} if devkit else {}
    dataset = open_official(split="2012/test", annotated=False, **source)
    assert dataset.names == ["2008_000001", "2008_000004"]
    assert dataset.class_names == CLASS_NAMES
    assert [len(dataset[i].boxes) for i in range(2)] == [0, 0]  # not those of the other tasks
    assert open_official(split="2012/test[1:]", annotated=False, **source).names == ["2008_000004"]
    assert [path.name.startswith("2012-test") for path in (tmp_path / "data/voc").glob("20*")] == [True]
    assert open_official(split="2012/train", **source).names == ["2008_000008"]


def test_a_devkit_of_the_test_images_needs_no_folder_of_annotations(official, open_official):
    shutil.rmtree(official.devkit / "VOC2012/Annotations")
    assert len(open_official(split="2012/test", annotated=False, devkit=str(official.devkit))) == 2
    with pytest.raises(InputError, match="has no folder Annotations"):
        open_official(split="2012/train", devkit=str(official.devkit))


def test_the_test_archive_of_2012_is_downloaded_for_its_split_only(official, open_official, tmp_path):
    (official.archives / "VOC2012test.tar").rename(tmp_path / "VOC2012test.tar")
    assert open_official(split="2012/trainval").names == TRAINVAL12
    mirror = {"archives": str(tmp_path / "empty"), "mirror": tmp_path.as_uri()}
    assert len(open_official(split="2012/test", annotated=False, **mirror)) == 2
    assert [file.name for file in (tmp_path / "empty").iterdir()] == ["VOC2012test.tar"]


@pytest.mark.parametrize(
    ("split", "annotated"),
    [
        *(("2007/test", True), ("2012/trainval", True), ("2012/test", False), ("2012/test[:5]", False)),
        *(("2007/test+2012/test", False), ("2012/tests", True), ("", True)),
    ],
)
def test_only_the_test_images_of_2012_have_no_annotations(split, annotated):
    assert is_annotated(split) == annotated


def test_a_sum_of_annotated_and_other_images_is_refused(open_official):
    with pytest.raises(InputError, match=r"'2007/test \+ 2012/test' must have boxes in all parts or in none"):
        open_official(split="2007/test + 2012/test", annotated=False)
    with pytest.raises(InputError, match="'2012/test' has no boxes to train on"):
        open_official(split="2007/test + 2012/test")


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
def test_wrong_splits_are_refused(open_official, split, words):
    with pytest.raises(InputError, match=words):
        open_official(split=split)
