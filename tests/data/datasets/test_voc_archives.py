import socket
import tarfile

import pytest
from tensorflow_datasets.core.download import checksums
from tensorflow_datasets.core.utils import tfds_path

from jaxdet.checks import InputError
from jaxdet.data.datasets import voc_archives
from jaxdet.data.datasets.voc_archives import ARCHIVES, obtain, reader


def test_sizes_and_checksums_equal_those_of_tfds():
    table = checksums.load_url_infos(tfds_path() / "url_checksums/voc.txt")
    stated = {info.filename: (int(info.size), info.checksum) for info in table.values()}
    archives = [archive for year in ARCHIVES.values() for archive in year]
    assert len(archives) == 4
    for archive in archives:
        assert stated[archive.name] == (archive.size, archive.sha256)
    assert archives[0].address == "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtrainval_06-Nov-2007.tar"


def test_a_mirror_replaces_the_official_site(official, tmp_path):
    archives = voc_archives.ARCHIVES["2007"]
    obtain(archives, tmp_path / "new", mirror=official.archives.as_uri())
    for archive in archives:
        assert (tmp_path / "new" / archive.name).read_bytes() == (official.archives / archive.name).read_bytes()
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_a_failed_download_names_every_missing_file_and_its_folder(official, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/voc"
    with pytest.raises(InputError) as error:
        obtain(ARCHIVES["2007"], tmp_path / "manual", mirror=address)
    message = str(error.value)
    assert f"{address}/VOCtrainval_06-Nov-2007.tar: [Errno 111] Connection refused" in message
    for archive in ARCHIVES["2007"]:
        assert f"{archive.name} ({archive.size} bytes, sha256 {archive.sha256})" in message
    assert f"into {tmp_path / 'manual'}, set mirror" in message
    assert not list((tmp_path / "manual").iterdir())


def test_an_unwritable_folder_is_refused(official, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write VOCtrainval_11-May-2012.tar .*set archives to a folder"):
        obtain(ARCHIVES["2012"], tmp_path / "file", mirror=official.archives.as_uri())


def test_members_are_read_in_any_order_from_both_archives(official):
    read = reader("2007", [official.archives / archive.name for archive in voc_archives.ARCHIVES["2007"]])
    for name in ("000002", "000005", "000001", "000009"):
        for file in (f"JPEGImages/{name}.jpg", f"Annotations/{name}.xml"):
            assert read(file) == (official.devkit / "VOC2007" / file).read_bytes()
    with pytest.raises(InputError, match="VOCdevkit/VOC2007/JPEGImages/7.jpg must be in .*Nov-2007.tar, got no such"):
        read("JPEGImages/7.jpg")


def test_a_file_that_is_not_a_tar_is_named(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"<html>" * 500)
    with pytest.raises(InputError, match=r"a\.tar cannot be read as a tar"):
        reader("2007", [tmp_path / "a.tar"])
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(InputError, match="must be in empty.tar"):
        reader("2007", [tmp_path / "empty.tar"])("ImageSets/Main/train.txt")
