"""Cached arrays are whole or absent, and never used for another key."""

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.io.atomic import draft_of
from jaxdet.io.keyed_folder import claim_folder, load_arrays, save_arrays

ARRAYS = {"kernel": np.arange(12, dtype=np.float32).reshape(4, 3), "bias": np.float32([1, 2, 3])}
KEY = {"dataset": "abc", "params": "12ef", "widths": (5, 3)}


def full(descriptor):
    raise OSError(28, "No space left on device")


def check(path, arrays):
    loaded = load_arrays(path)
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


def test_saved_arrays_are_loaded_and_replaced(tmp_path):
    path = tmp_path / "3_svms" / "svms.npz"
    assert load_arrays(path) == {}
    save_arrays(path, ARRAYS)
    check(path, ARRAYS)
    save_arrays(path, {"images": np.array(7)})
    check(path, {"images": np.array(7)})
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_reported_and_the_old_content_stays(tmp_path, monkeypatch):
    path = tmp_path / "svms.npz"
    save_arrays(path, ARRAYS)
    with monkeypatch.context() as patch, pytest.raises(InputError, match="must be writable, got No space.*make room"):
        patch.setattr("os.fsync", full)
        save_arrays(path, {"bias": np.zeros(1)})
    check(path, ARRAYS)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text", "array"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "svms.npz"
    save_arrays(path, ARRAYS)
    content = path.read_bytes()
    middle = content.index(ARRAYS["kernel"].tobytes()) + 4
    flipped = content[:middle] + b"\x55" + content[middle + 1 :]
    path.write_bytes({"empty": b"", "cut": content[:-50], "flipped": flipped, "text": b"kernel\n"}.get(damage, content))
    if damage == "array":
        with path.open("wb") as file:
            np.save(file, ARRAYS["bias"])
    with pytest.raises(InputError, match=r"svms.npz must be whole, got .+; delete it and run again"):
        load_arrays(path)


def test_a_folder_with_results_accepts_one_key_only(tmp_path):
    folder = tmp_path / "stages" / "3_svms"
    claim_folder(folder, KEY)
    save_arrays(folder / "svms.npz", ARRAYS)
    claim_folder(folder, KEY)
    with pytest.raises(InputError, match=r"3_svms is of other data or parameters.*delete it") as error:
        claim_folder(folder, {"dataset": "abc", "params": "34ab", "context": 16})
    for difference in ("params must be '34ab', got '12ef'", "context must be 16, got None", "widths must be None"):
        assert difference in str(error.value)
    claim_folder(folder, KEY)
    check(folder / "svms.npz", ARRAYS)


def test_a_folder_without_results_accepts_another_key(tmp_path):
    claim_folder(tmp_path, KEY)
    draft_of(tmp_path / "key.json").write_text('{"half')  # killed while it wrote the key
    claim_folder(tmp_path, KEY | {"params": "34ab"})
    save_arrays(tmp_path / "svms.npz", ARRAYS)
    with pytest.raises(InputError, match="params must be '12ef', got '34ab'"):
        claim_folder(tmp_path, KEY)


@pytest.mark.parametrize("content", [None, b"", b'{"dataset"', b"\xff", b"7"])
def test_results_without_a_readable_key_are_refused(tmp_path, content):
    save_arrays(tmp_path / "svms.npz", ARRAYS)
    if content is not None:
        (tmp_path / "key.json").write_bytes(content)
    with pytest.raises(InputError, match=r"key.json must say what the folder depends on, got .+; delete the folder"):
        claim_folder(tmp_path, KEY)


def test_an_unwritable_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="must be writable, got a file in its place"):
        claim_folder(tmp_path / "file" / "3_svms", KEY)
    with monkeypatch.context() as patch, pytest.raises(InputError, match="got No space left on device; make room"):
        patch.setattr("os.fsync", full)
        claim_folder(tmp_path / "3_svms", KEY)
    assert not list((tmp_path / "3_svms").iterdir())
