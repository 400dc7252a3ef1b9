import errno
import os
import resource
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets import features, prepare, shapes
from jaxdet.data.datasets.voc import CLASS_NAMES, prepare_voc

SETTINGS = {"image_size": 96, "train": 4, "validation": 1, "test": 1, "seed": 0}


def test_a_killed_preparation_leaves_no_copy(scripts, tmp_path):
    code = (
        "from jaxdet.data.datasets.shapes import prepare_shapes\n"
        f"prepare_shapes(data_dir={str(tmp_path)!r}, image_size=96, train=100000, validation=1, test=1, seed=0)"
    )
    run = scripts.start_code(code)
    run.wait_until(lambda: list(tmp_path.rglob("*incomplete*")))
    time.sleep(0.3)
    run.kill(signal.SIGKILL)
    run.end(code=-signal.SIGKILL)
    assert list(tmp_path.rglob("*incomplete*"))
    assert not list(tmp_path.glob("shapes/*/1.0.0"))
    assert len(open_split(shapes.prepare_shapes(data_dir=str(tmp_path), **SETTINGS), "train")) == 4
    assert not list(tmp_path.rglob("*incomplete*"))  # removed by the next preparation


def test_two_processes_may_prepare_at_once(tmp_path, monkeypatch):
    """The second process finds the copy of the first when it renames its own."""
    draw_scene, others = shapes.draw_scene, []

    def draw_while_another_finishes(rng, size):
        if not others:
            others.append(None)
            others.append(shapes.prepare_shapes(data_dir=str(tmp_path), **SETTINGS))
        return draw_scene(rng, size)

    monkeypatch.setattr(shapes, "draw_scene", draw_while_another_finishes)
    builder = shapes.prepare_shapes(data_dir=str(tmp_path), **SETTINGS)
    assert builder.data_path == others[1].data_path
    assert len(open_split(builder, "train")) == 4
    assert not list(tmp_path.rglob("*incomplete*"))


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="data_dir: cannot prepare .*file.*; free space there or set data_dir"):
        shapes.prepare_shapes(data_dir=str(tmp_path / "file" / "data"), **SETTINGS)


@pytest.mark.parametrize(
    ("number", "raised", "words"),
    [
        (errno.ENOSPC, InputError, "No space left on device; free space there"),
        (errno.EROFS, InputError, "Read-only file system; free space there"),
        (errno.EIO, OSError, r"^\[Errno 5\] Input/output error$"),
    ],
)
def test_only_write_errors_are_blamed_on_the_folder(tmp_path, monkeypatch, number, raised, words):
    def fail(rng, size):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(shapes, "draw_scene", fail)
    with pytest.raises(raised, match=words):
        shapes.prepare_shapes(data_dir=str(tmp_path), **SETTINGS)
    assert not list(tmp_path.rglob("*incomplete*"))


def test_a_full_disk_is_named_and_leaves_no_copy(tmp_path):
    """array_record reports it as RuntimeError, when the file is closed."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        with pytest.raises(InputError, match="data_dir: cannot prepare .*File too large.*; free space there"):
            shapes.prepare_shapes(data_dir=str(tmp_path), **SETTINGS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.rglob("*array_record*"))
    assert len(open_split(shapes.prepare_shapes(data_dir=str(tmp_path), **SETTINGS), "train")) == 4


@pytest.fixture(scope="module")
def whole_copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    shapes.prepare_shapes(data_dir=str(folder), **SETTINGS)
    return folder


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)


def truncate(file):
    file.write_bytes(file.read_bytes()[:-20])


FILES = ["shapes-train.array_record*", "features.json", "dataset_info.json", "objects-label.labels.txt"]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
@pytest.mark.parametrize(
    "name", ["shapes-train.array_record*", "features.json", "dataset_info.json", "objects-label.labels.txt"]
)
def test_damaged_copies_are_named_with_the_cure(whole_copy, tmp_path, name, damage, listed):
    """A copy of an earlier version has no list of its files; there a changed class name goes unnoticed."""
    shutil.copytree(whole_copy, tmp_path / "data")
    (file,) = (tmp_path / "data").glob(f"shapes/*/1.0.0/{name}")
    damage(file)
    if not listed:
        if name.endswith("labels.txt") or (name == "dataset_info.json" and damage is flip):
            pytest.skip("cannot be noticed")
        (file.parent / "files.json").unlink()
    with pytest.raises(InputError, match=f"must be whole, got damage .*; delete the folder.*rm -r {file.parent}"):
        open_split(shapes.prepare_shapes(data_dir=str(tmp_path / "data"), **SETTINGS), "train").fingerprint  # noqa: B018


def make_tfds_copy(data_dir, official):
    """Prepare 2007 as TFDS's own builder does: version 5.0.0, in shuffled order, without an image index."""

    class Voc(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("5.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="2007"), tfds.core.BuilderConfig(name="2012")]

        def _info(self):
            return self.dataset_info_from_configs(features=features.features(CLASS_NAMES))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in ("test", "train", "validation")}

        def _generate_examples(self, split):
            source = from_archives.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
            for i, name in enumerate(from_archives.info.metadata[split]["names"]):
                record = open_split(from_archives, split)[i]
                objects = [
                    features.VocObject(CLASS_NAMES[label - 1], tuple(box), difficult=difficult)
                    for label, box, difficult in zip(record.labels, record.boxes, record.difficult, strict=True)
                ]
                yield name, features.example(f"{name}.jpg", source[i]["image"], *record.image.shape[:2], objects)

    from_archives = prepare_voc(year="2007", data_dir=str(data_dir / "ours"), archives=str(official.archives))
    Voc(data_dir=str(data_dir), config="2007").download_and_prepare(file_format="array_record")
    return from_archives


def test_a_copy_prepared_by_tfds_itself_is_read(official, open_official, tmp_path, monkeypatch):
    ours = make_tfds_copy(tmp_path / "data", official)
    dataset = open_official(split="2007/trainval", archives=str(tmp_path / "nothing here"))
    assert sorted(dataset.names) == ["000005", "000007", "000009"]
    assert not (tmp_path / "data/voc/2007/1.0.0").exists()
    want = {record.name: record for split in ("train", "validation") for record in open_split(ours, split)}
    for i in range(len(dataset)):
        record = dataset[i]
        for field in ("image", "boxes", "labels", "difficult"):
            np.testing.assert_array_equal(getattr(record, field), getattr(want[record.name], field))
        assert (dataset.image_sizes[i].tolist(), dataset.object_counts[i]) == ([60, 80], 1)
    assert len(list((tmp_path / "data/image_index").iterdir())) == 2
    monkeypatch.setattr(prepare, "_index_records", None)  # the second time the cached index is read
    assert open_official(split="2007/trainval").fingerprint == dataset.fingerprint


def test_a_damaged_cached_index_is_replaced(official, open_official, tmp_path):
    make_tfds_copy(tmp_path / "data", official)
    names = open_official(split="2007/test").names
    (cache,) = (tmp_path / "data/image_index").iterdir()
    content = cache.read_bytes()
    cache.write_bytes(content[:-5])
    assert open_official(split="2007/test").names == names
    assert cache.read_bytes() == content


def test_an_index_that_cannot_be_cached_is_read_each_time(official, open_official, tmp_path, caplog):
    make_tfds_copy(tmp_path / "data", official)
    (tmp_path / "data/image_index").touch()
    assert sorted(open_official(split="2007/test").names) == ["000001", "000002"]
    assert "cannot be cached and is read each time" in caplog.text


def test_a_copy_in_tfrecord_format_is_not_used(official, open_official, tmp_path, caplog):
    make_tfds_copy(tmp_path / "data", official)
    info = tmp_path / "data/voc/2007/5.0.0/dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    assert open_official(split="2007/test").names == ["000001", "000002"]  # in the order of the list: our own copy
    assert "5.0.0 is not used: it is stored as tfrecord" in caplog.text
