"""Files of torch.save: both formats as torch 2.13 writes them (golden/weights_tensors*.pth), and hostile files."""

import argparse
import collections
import datetime
import os
import pathlib
import pickle
import struct
import zipfile

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.weights import unpickle
from jaxdet.weights.torch_file import read_torch_file
from jaxdet.weights.unpickle import Ignored

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FORMATS = {"zip": GOLDEN / "weights_tensors.pth", "legacy": GOLDEN / "weights_tensors_legacy.pth"}
both_formats = pytest.mark.parametrize("path", FORMATS.values(), ids=FORMATS)


@both_formats
def test_every_tensor_is_read_as_an_equal_array(path):
    with np.load(GOLDEN / "weights_torch.npz") as file:
        expected = {name.removeprefix("tensors/"): file[name] for name in file if name.startswith("tensors/")}
    tensors = read_torch_file(path)["tensors"]
    assert set(tensors) == set(expected) and len(expected) == 13
    assert tensors.pop("bfloat16").dtype.name == "bfloat16"
    for name, got in tensors.items():
        assert got.dtype == expected[name].dtype
        np.testing.assert_array_equal(got, expected[name])
    assert np.shares_memory(tensors["base"], tensors["transposed"])
    got = read_torch_file(path)["tensors"]["bfloat16"]
    np.testing.assert_array_equal(got.astype(np.float32), expected["bfloat16"])


@both_formats
def test_containers_and_numbers_beside_the_tensors_are_read(path):
    contents = read_torch_file(path)
    assert type(contents) is dict and type(contents["tensors"]) is dict
    assert contents["config"] == {"a": [1, 2.5, None, True, "x", (1, 2)]}
    assert contents["best_map"] == 0.7 and type(contents["best_map"]) is float  # a numpy scalar there


# ---- Hostile files


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def pack(tmp_path, pickled, storages=(), compression=zipfile.ZIP_STORED):
    """Write a zip in the layout of torch.save."""
    with zipfile.ZipFile(tmp_path / "x.pth", "w", compression) as archive:
        archive.writestr("x/data.pkl", pickled)
        for key, data in enumerate(storages):
            archive.writestr(f"x/data/{key}", data)
    return tmp_path / "x.pth"


def pack_legacy(tmp_path, pickled, *rest):
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    (tmp_path / "x.pth").write_bytes(b"".join(pickle.dumps(x, 2) for x in parts) + pickled + b"".join(rest))
    return tmp_path / "x.pth"


def plain(tmp_path, pickled):
    (tmp_path / "x.pth").write_bytes(pickled)
    return tmp_path / "x.pth"


@pytest.mark.parametrize("layout", [pack, pack_legacy])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_malicious_pickle_is_never_run(tmp_path, layout, protocol):
    marker = tmp_path / "it_ran"
    evil = {"model": {"features.0.weight": Evil(os.system, f"touch {marker}"), "epoch": 3}}
    pickled = pickle.dumps(evil, protocol)
    path = pack(tmp_path, pickled) if layout is pack else pack_legacy(tmp_path, pickled, pickle.dumps([], 2))
    contents = read_torch_file(path)
    assert contents["model"] == {"features.0.weight": Ignored(f"{os.system.__module__}.system"), "epoch": 3}
    assert not marker.exists()


@pytest.mark.parametrize(
    ("pickled", "read"),
    [
        (pickle.dumps(Evil(eval, "1 + 1"), 2), "__builtin__.eval"),
        (pickle.dumps(Evil(getattr, {}, "clear"), 4), "builtins.getattr"),
        (b"ctorch.nn.modules.linear\nLinear\n)R.", "torch.nn.modules.linear.Linear"),
        (b"(S'touch it'\nios\nsystem\n.", "os.system"),
        (b"(cos\nsystem\nS'touch it'\no.", "os.system"),
        (b"cos\nsystem\n(S'a'\nt}\x92.", "os.system"),  # NEWOBJ_EX
        (b"cnumpy\ndtype\n(S'O8'\ntR.", "numpy.dtype"),
        (b"\x8f(K\x01\x90.", "set"),
    ],
)
def test_what_tensors_do_not_need_is_read_as_ignored(tmp_path, pickled, read):
    assert read_torch_file(pack(tmp_path, pickled)) == Ignored(read)


@pytest.mark.parametrize(
    ("pickled", "refused"),
    [
        (b"\x80\x02}\x81.", "instruction NEWOBJ"),
        (b"\x82\x01.", "instruction EXT1"),
        (b"\x80\x02\x8e.", "must be a whole file"),  # BINBYTES8 without its eight bytes of length
        (b"r\xff\xff\xff\xff.", "must be a whole file"),  # memo index 4 billion
    ],
)
def test_instructions_that_tensors_do_not_need_are_refused(tmp_path, pickled, refused):
    with pytest.raises(InputError, match=refused):
        read_torch_file(pack(tmp_path, pickled))


def test_a_pickle_of_too_many_instructions_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpickle, "MAX_INSTRUCTIONS", 1000)
    assert len(read_torch_file(pack(tmp_path, b"(" + b"N" * 990 + b"l."))) == 990
    with pytest.raises(InputError, match="the pickle must have at most 1000 instructions, got more"):
        read_torch_file(pack(tmp_path, b"(" + b"]" * 1000 + b"l."))


class Settings:
    def __init__(self):
        self.path, self.rate = pathlib.Path("x"), 0.1


@pytest.mark.parametrize("layout", [pack, pack_legacy])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_other_objects_beside_the_tensors_are_ignored(tmp_path, layout, protocol):
    contents = {
        "args": argparse.Namespace(lr=0.1, names={"a", "b"}, output=pathlib.Path("x")),
        "settings": Settings(),
        "counts": collections.Counter("aab"),
        "history": collections.defaultdict(list, loss=[1.0]),
        "by_pair": {(1, 2): 3, None: 4, "a": 5},
        "when": datetime.datetime(2026, 8, 1),
        "frozen": frozenset([1]),
        "objects": np.array([{}], dtype=object),
        "epoch": np.int64(3),
        "precision": np.array([[0.1, 0.2], [0.3, 0.4]], order="F"),
        "swapped": np.arange(3, dtype=">f4"),
        "empty": np.zeros((0, 2), np.float32),
    }
    pickled = pickle.dumps(contents, protocol)
    path = pack(tmp_path, pickled) if layout is pack else pack_legacy(tmp_path, pickled, pickle.dumps([], 2))
    read = read_torch_file(path)
    assert read.keys() == contents.keys()
    assert {name for name, value in read.items() if isinstance(value, Ignored)} >= {
        "args",
        "settings",
        "when",
        "frozen",
    }
    assert read["by_pair"] == {"a": 5}
    assert read["epoch"] == 3
    np.testing.assert_array_equal(read["precision"], contents["precision"])
    np.testing.assert_array_equal(read["swapped"], [0, 1, 2])
    assert read["swapped"].dtype == np.float32


def test_arrays_of_wrong_sizes_are_refused(tmp_path):
    pickled = pickle.dumps(np.arange(4, dtype=np.int32), 4)
    assert pickled.count(b"K\x04\x85") == 1  # the shape
    for shape in (b"K\x05\x85", b"K\x03\x85", b"N\x85"):
        with pytest.raises(InputError, match="an array must have"):
            read_torch_file(pack(tmp_path, pickled.replace(b"K\x04\x85", shape)))


def tensor(*, storage=b"FloatStorage", count=4, offset=0, size=(2, 2), stride=(2, 1), view=b""):
    """Pickle of one tensor, written by instruction, so that its numbers may be wrong."""

    def push(value):
        return pickle.dumps(value, 2)[2:-1]  # without PROTO and STOP

    identity = push("storage") + b"ctorch\n" + storage + b"\n" + push("0") + push("cpu") + push(count) + view
    arguments = push(offset) + push(size) + push(stride) + push(False) + push({})
    return b"ctorch._utils\n_rebuild_tensor_v2\n((" + identity + b"tQ" + arguments + b"tR."


def test_a_tensor_written_by_hand_is_read(tmp_path):
    data = np.arange(4, dtype=np.float32)
    got = read_torch_file(pack(tmp_path, tensor(), [data.tobytes()]))
    np.testing.assert_array_equal(got, data.reshape(2, 2))


def test_views_of_storages_from_before_torch_0_4_are_read(tmp_path):
    data = np.arange(6, dtype=np.float32)
    pickled = tensor(count=6, view=b"(S'v'\nK\x02K\x04t").replace(b"_v2", b"")
    keys, length = pickle.dumps(["0"], 2), struct.pack("<q", 6)
    got = read_torch_file(pack_legacy(tmp_path, pickled, keys, length, data.tobytes()))
    np.testing.assert_array_equal(got, data[2:].reshape(2, 2))
    with pytest.raises(InputError, match="a view must lie within its storage of 6"):
        pickled = pickled.replace(b"K\x02K\x04", b"K\x03K\x04")
        read_torch_file(pack_legacy(tmp_path, pickled, keys, length, data.tobytes()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 5},
        {"count": 2**60},
        {"count": -4},
        {"storage": b"DoubleStorage"},
        {"size": (2, 3)},
        {"size": (10**12, 10**12), "stride": (0, 0)},
        {"size": (1,), "stride": (2,), "offset": 4},
        {"size": (2, 2), "stride": (3, 1)},
        {"size": (2, 2), "stride": (-2, 1), "offset": 2},
        {"offset": -1},
        {"size": (2, 2), "stride": (1,)},
        {"size": "ab"},
        {"offset": {}},
    ],
    ids=str,
)
def test_wrong_sizes_are_refused(tmp_path, wrong):
    data = bytes(16)
    for path in (
        pack(tmp_path, tensor(**wrong), [data]),
        pack_legacy(tmp_path, tensor(**wrong, view=b"N"), pickle.dumps(["0"], 2), struct.pack("<q", 4), data),
    ):
        with pytest.raises(InputError, match=r"x\.pth: (a tensor|the tensors|a storage|storage 0) must"):
            read_torch_file(path)


def test_a_compressed_zip_is_refused(tmp_path):
    path = pack(tmp_path, tensor(count=2**20), [bytes(2**22)], zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="must be uncompressed as torch.save leaves them, got a compressed zip"):
        read_torch_file(path)


# ---- Damaged files, and files of something else


@both_formats
def test_a_file_truncated_anywhere_is_refused(tmp_path, path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        with pytest.raises(InputError, match=r"x\.pth"):
            read_torch_file(plain(tmp_path, whole[:length]))


@both_formats
def test_a_damaged_file_raises_nothing_but_an_input_error(tmp_path, path):
    rng = np.random.default_rng(0)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(150):
        damaged = whole.copy()
        damaged[rng.integers(0, len(whole), 3)] = rng.integers(0, 256, 3)
        try:
            read_torch_file(plain(tmp_path, damaged.tobytes()))
        except InputError as error:
            assert "x.pth" in str(error)


def test_files_of_something_else_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    for path, message in (
        (tmp_path / "nowhere.pth", "must be a readable file, got: No such file"),
        (tmp_path, "must be a readable file, got: Is a directory"),
        (tmp_path / "x.npz", "must hold one data.pkl as torch.save writes it, got .'a.npy'."),
    ):
        with pytest.raises(InputError, match=message):
            read_torch_file(path)
    for data, message in (
        (b"<html>not found</html>", "must be a whole file written by torch.save, got"),
        (b"", "must be a whole file written by torch.save, got"),
        (pickle.dumps({"a": 1}, 2), "must be one of torch.save, got another pickle"),
    ):
        with pytest.raises(InputError, match=message):
            read_torch_file(plain(tmp_path, data))
