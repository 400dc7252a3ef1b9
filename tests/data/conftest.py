"""Fixtures: a devkit in VOC layout, small archives in the official layout, a small generated set."""

import dataclasses
import functools
import hashlib
import tarfile
from pathlib import Path

import pytest

from jaxdet.data.datasets import voc_archives
from jaxdet.data.datasets.shapes import prepare_shapes
from jaxdet.data.datasets.voc import open_voc
from tests.devkit import Devkit


@pytest.fixture
def devkit(tmp_path) -> Devkit:
    return Devkit(tmp_path / "VOCdevkit" / "VOC2030")


@dataclasses.dataclass
class Official:
    """Small versions of the official files: `devkit` is VOCdevkit with both years, `archives` the folder of tars."""

    devkit: Path
    archives: Path

    def pack(self, archive: str, year: str, *splits: str, without: str = "") -> None:
        """Write an archive of these splits and its size and checksum in the table."""
        home = self.devkit / f"VOC{year}"
        names = [name for split in splits for name in (home / f"ImageSets/Main/{split}.txt").read_text().split()]
        files = [f"ImageSets/Main/{split}.txt" for split in splits]
        files += [file for name in names for file in (f"JPEGImages/{name}.jpg", f"Annotations/{name}.xml")]
        with tarfile.open(self.archives / archive, "w") as tar:
            for file in files:
                if file != without and (home / file).exists():
                    tar.add(home / file, f"VOCdevkit/VOC{year}/{file}")
        content = (self.archives / archive).read_bytes()
        entry = voc_archives.Archive(year, archive, len(content), hashlib.sha256(content).hexdigest())
        for release, archives in voc_archives.ARCHIVES.items():
            voc_archives.ARCHIVES[release] = tuple(entry if old.name == archive else old for old in archives)


@pytest.fixture
def official(tmp_path, monkeypatch) -> Official:
    """2007: train 000005, 000007; val 000009; test 000001, 000002. 2012: train 2008_000008; val 2008_000015; test
    2008_000001, 2008_000004, of which the first has an annotation for another task, as in the official archive.
    """
    monkeypatch.setattr(voc_archives, "ARCHIVES", dict(voc_archives.ARCHIVES))
    official = Official(tmp_path / "official/VOCdevkit", tmp_path / "official")
    for year, splits in {
        "2007": {"train": ("000005", "000007"), "val": ("000009",), "test": ("000001", "000002")},
        "2012": {"train": ("2008_000008",), "val": ("2008_000015",), "test": ("2008_000001", "2008_000004")},
    }.items():
        files = Devkit(official.devkit / f"VOC{year}")
        for split, names in splits.items():
            files.split(split, *names)
            for name in names:
                files.image(name)
                hard = {"difficult": 1, "truncated": 1, "pose": "Left"}
                files.annotation(name, ("dog", 9, 11, 31, 47), ("person", 1, 1, 80, 60, hard))
    (official.devkit / "VOC2012/Annotations/2008_000004.xml").unlink()
    official.pack("VOCtrainval_06-Nov-2007.tar", "2007", "train", "val")
    official.pack("VOCtest_06-Nov-2007.tar", "2007", "test")
    official.pack("VOCtrainval_11-May-2012.tar", "2012", "train", "val")
    official.pack("VOC2012test.tar", "2012", "test")
    return official


@pytest.fixture
def open_official(official, tmp_path):
    """Return open_voc with the archives of `official`."""
    sources = {"archives": str(official.archives), "devkit": "", "mirror": ""}
    return functools.partial(open_voc, data_dir=str(tmp_path / "data"), **sources)


@pytest.fixture(scope="session")
def shapes_builder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return prepare_shapes(data_dir=str(folder), image_size=96, train=13, validation=3, test=5, seed=1)
