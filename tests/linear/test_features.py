"""The folder of features: partial writes are ignored, features of another key are refused."""

import errno

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.linear import features
from jaxdet.linear.features import FeatureFolder, mean_norm

KEY, WIDTHS = {"dataset": "abc", "weights": [1, 2]}, {"pool5": 5, "fc7": 3}


def image(i, rows=4):
    rng = np.random.default_rng(i)
    return {name: rng.normal(size=(rows + k, w)).astype(np.float32) for k, (name, w) in enumerate(WIDTHS.items())}


def check(folder, images):
    assert len(folder) == len(images)
    for name in WIDTHS:
        rows = folder.read(name)
        assert len(rows) == len(images)
        for got, expected in zip(rows, images, strict=True):
            np.testing.assert_array_equal(got, expected[name])


def test_appended_features_are_read_per_image(tmp_path):
    images = [image(0), image(1, rows=0), {"pool5": np.zeros((0, 5)), "fc7": np.zeros((0, 3))}, image(3)]
    folder = FeatureFolder(tmp_path / "train", KEY, WIDTHS)
    for features_of_image in images:
        folder.append(features_of_image)
    check(folder, images)
    check(FeatureFolder(tmp_path / "train", KEY, WIDTHS), images)
    with pytest.raises(IndexError):
        folder.read("fc7")[4]
    with pytest.raises(ValueError, match="read-only"):
        folder.read("fc7")[0][0] = 1


@pytest.mark.parametrize("killed_in", ["pool5.f32", "fc7.f32", "images.bin"])
def test_a_folder_killed_at_any_write_is_resumed(tmp_path, monkeypatch, killed_in):
    folder = FeatureFolder(tmp_path, KEY, WIDTHS)
    folder.append(image(0))
    write = FeatureFolder._write_at

    def kill(self, name, position, array):
        if name == killed_in:  # half of it reached the file
            write(self, name, position, np.frombuffer(array.tobytes()[:-5], np.uint8))
            raise KeyboardInterrupt
        write(self, name, position, array)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FeatureFolder, "_write_at", kill)
        folder.append(image(1))
    again = FeatureFolder(tmp_path, KEY, WIDTHS)
    check(again, [image(0)])
    again.append(image(2, rows=2))
    check(FeatureFolder(tmp_path, KEY, WIDTHS), [image(0), image(2, rows=2)])


def test_a_full_disk_is_reported_and_the_images_done_stay(tmp_path, monkeypatch):
    folder = FeatureFolder(tmp_path, KEY, WIDTHS)
    folder.append(image(0))

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        monkeypatch.context() as patch,
        pytest.raises(InputError, match="got No space left on device; free some space.* 1 images are saved"),
    ):
        patch.setattr(features.os, "fsync", full)
        folder.append(image(1))
    check(folder, [image(0)])
    folder.append(image(1))
    check(FeatureFolder(tmp_path, KEY, WIDTHS), [image(0), image(1)])


def test_a_disk_full_from_the_start_is_reported(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.mkdir", full)
    with pytest.raises(InputError, match="2_features must be writable, got No space left on device; make room"):
        FeatureFolder(tmp_path / "2_features", KEY, WIDTHS)


def test_an_image_with_lost_rows_is_not_stored(tmp_path):
    folder = FeatureFolder(tmp_path, KEY, WIDTHS)
    for i in range(3):
        folder.append(image(i))
    with (tmp_path / "fc7.f32").open("r+b") as file:
        file.truncate((tmp_path / "fc7.f32").stat().st_size - 1)
    check(FeatureFolder(tmp_path, KEY, WIDTHS), [image(0), image(1)])


def test_features_of_another_key_are_refused_with_the_differences(tmp_path):
    FeatureFolder(tmp_path, KEY, WIDTHS).append(image(0))
    with pytest.raises(InputError, match=r"of other data.*: weights must be \[1, 3\], got \[1, 2\]; delete it"):
        FeatureFolder(tmp_path, KEY | {"weights": [1, 3]}, WIDTHS)
    with pytest.raises(InputError, match="context must be 16, got None"):
        FeatureFolder(tmp_path, KEY | {"context": 16}, WIDTHS)
    with pytest.raises(InputError, match="widths must be {'pool5': 5, 'fc7': 4}, got {'pool5': 5, 'fc7': 3}"):
        FeatureFolder(tmp_path, KEY, WIDTHS | {"fc7": 4})
    (tmp_path / "key.json").write_bytes(b"")
    with pytest.raises(InputError, match="key.json must say what the folder depends on.*delete the folder"):
        FeatureFolder(tmp_path, KEY, WIDTHS)


def test_features_of_another_kind_or_width_are_refused(tmp_path):
    folder = FeatureFolder(tmp_path, KEY, WIDTHS)
    with pytest.raises(ValueError, match=r"kinds must be \['fc7', 'pool5'\], got \['fc7'\]"):
        folder.append({"fc7": np.zeros((2, 3))})
    with pytest.raises(ValueError, match=r"fc7 must be \[rows,3\], got \(2, 4\)"):
        folder.append({"fc7": np.zeros((2, 4)), "pool5": np.zeros((2, 5))})
    assert len(folder) == 0


def test_mean_norm(monkeypatch):
    rows = [np.float32([[3, 4], [6, 8]]), np.zeros((0, 2), np.float32), np.float32([[0, 15]])]
    assert mean_norm(rows) == pytest.approx(10)
    assert mean_norm([np.linalg.norm(r, axis=1, keepdims=True) for r in rows]) == pytest.approx(10)
    many = [np.random.default_rng(i).uniform(1, 3, (50, 1)) for i in range(30)]
    everything = mean_norm(many)
    monkeypatch.setattr(features, "SAMPLED_IMAGES", 20)
    monkeypatch.setattr(features, "SAMPLED_REGIONS", 30)
    sample = mean_norm(many)
    assert sample == mean_norm(many) != everything
    assert sample == pytest.approx(2, abs=0.1)
    assert mean_norm([np.zeros((2, 2), np.float32)]) == 1 and mean_norm([]) == 1


def test_features_removed_meanwhile_are_not_replaced_by_zeros(tmp_path):
    stored = FeatureFolder(tmp_path, KEY, WIDTHS)
    stored.append(image(0))
    stored.append(image(1))
    next(tmp_path.glob("*.f32")).unlink()
    with pytest.raises(InputError, match="must be writable, got No such file or directory"):
        stored.append(image(2))
