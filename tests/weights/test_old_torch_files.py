"""Files as torch wrote them until early 2017, in both of their containers; made here with torch's class names."""

import io
import pickle
import struct
import sys
import tarfile
import types

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.weights.torch_file import read_torch_file

VALUES = np.arange(12, dtype=np.float32)
MATRIX = VALUES[2:10].reshape(2, 4).T  # part of its storage, transposed
MAGIC, VERSION, MACHINE = 0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}


class Stored:
    """Object that is pickled in two steps, empty and then its state: NEWOBJ, BUILD."""

    def __init__(self, state=None):
        self.state = state

    def __getstate__(self):
        return self.state

    def __reduce_ex__(self, protocol):
        return object.__reduce_ex__(self, 2)


@pytest.fixture
def torch(monkeypatch):
    """Stand-in for torch with the classes that such files name."""
    modules = {name: types.ModuleType(name) for name in ("torch", "torch.nn", "torch.nn.parameter")}
    for module, name in (("torch", "FloatTensor"), ("torch", "FloatStorage"), ("torch.nn.parameter", "Parameter")):
        setattr(modules[module], name, type(name, (Stored,), {"__module__": module, "__qualname__": name}))
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return types.SimpleNamespace(
        FloatTensor=modules["torch"].FloatTensor,
        FloatStorage=modules["torch"].FloatStorage,
        Parameter=modules["torch.nn.parameter"].Parameter,
    )


def dumped(value, persistent_id=lambda value: None):
    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return persistent_id(value)

    file = io.BytesIO()
    Pickler(file, 2).dump(value)
    return file.getvalue()


def contents(torch):
    """State dict of one tensor three times, once as a parameter; its storage is VALUES."""
    tensor = torch.FloatTensor((torch.FloatStorage(), 2, (4, 2), (1, 4)))
    parameter = torch.Parameter((tensor, None, None, True, False))
    return {"weight": tensor, "again": tensor, "parameter": parameter}


def magic_file(torch, value):
    def identity(value):
        return ("storage", torch.FloatStorage, "7", "cpu", 12, None) if type(value) is torch.FloatStorage else None

    head = b"".join(map(dumped, (MAGIC, VERSION, MACHINE)))
    return head + dumped(value, identity) + dumped(["7"]) + struct.pack("<q", 12) + VALUES.tobytes()


def tar_file(torch):
    def identity(value):
        return "5" if type(value) is torch.FloatTensor else None

    members = {
        "storages": dumped(1)
        + dumped((7, "cpu", torch.FloatStorage))
        + struct.pack("<q", 12)
        + VALUES.tobytes()
        + dumped([]),
        "tensors": dumped(1)
        + dumped((5, 7, torch.FloatTensor))
        + struct.pack("<i4x", 2)
        + struct.pack("<5q", 4, 2, 1, 4, 2),
        "pickle": dumped(contents(torch), identity),
    }
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


@pytest.mark.parametrize("container", ["magic", "tar"])
def test_tensors_that_get_their_state_after_creation_are_read(torch, tmp_path, container):
    path = tmp_path / "old.pth"
    path.write_bytes(magic_file(torch, contents(torch)) if container == "magic" else tar_file(torch))
    read = read_torch_file(path)
    assert set(read) == {"weight", "again", "parameter"}
    for value in read.values():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, MATRIX)


def test_a_tensor_without_its_state_is_refused(torch, tmp_path):
    path = tmp_path / "old.pth"
    path.write_bytes(magic_file(torch, {"weight": torch.FloatTensor()}))
    with pytest.raises(InputError, match="every object in the pickle must have its state, got 1 without"):
        read_torch_file(path)


def test_a_tensor_larger_than_its_storage_is_refused(torch, tmp_path):
    path = tmp_path / "old.pth"
    path.write_bytes(magic_file(torch, {"weight": torch.FloatTensor((torch.FloatStorage(), 2, (4, 3), (1, 4)))}))
    with pytest.raises(InputError, match="storage"):
        read_torch_file(path)


def test_nested_tuples_as_keys_are_left_out_without_hashing_them(torch, tmp_path):
    """The time to hash or print them would double with every level."""
    path = tmp_path / "old.pth"
    # 200 levels of pairs of the same object, then a dict with the outermost as its key.
    levels = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(200))
    pickled = b"\x80\x02}" + b"X\x01\x00\x00\x00x\x85" + levels + b"K\x01s."
    path.write_bytes(b"".join(map(dumped, (MAGIC, VERSION, MACHINE))) + pickled + dumped([]))
    assert read_torch_file(path) == {}
