import os

from jaxdet.data.datasets.folder_format import fingerprint
from jaxdet.data.datasets.voc_layout import files_of


def hash_of(folder, *settings):
    return fingerprint(folder, files_of(folder), *settings)


def test_the_fingerprint_changes_with_every_file(devkit):
    annotation = devkit.annotation("a", ("dog", 1, 1, 9, 9))
    keys = [hash_of(devkit.folder, "x"), hash_of(devkit.folder, "y")]
    assert hash_of(devkit.folder, "x") == keys[0]
    annotation.write_text(annotation.read_text().replace("dog", "cat"))  # of the same length
    os.utime(annotation, ns=(0, annotation.stat().st_mtime_ns + 1))
    keys.append(hash_of(devkit.folder, "x"))
    devkit.image("a")
    keys.append(hash_of(devkit.folder, "x"))
    link = devkit.folder / "JPEGImages/b.jpg"
    link.symlink_to(devkit.folder / "later.jpg")
    keys.append(hash_of(devkit.folder, "x"))
    (devkit.folder / "later.jpg").touch()  # what the link leads to appears
    keys.append(hash_of(devkit.folder, "x"))
    assert len(set(keys)) == 6
