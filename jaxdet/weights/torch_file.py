"""Reading what torch.save wrote, without torch and without running anything in the file."""

import io
import math
import os
import reprlib
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np

from jaxdet.checks import InputError
from jaxdet.weights.unpickle import Buildable, check_key, mapping, read_pickle

_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the format that came before torch 1.6


def read_torch_file(path: str | os.PathLike) -> Any:
    """The contents of a .pth file (zip or one of the two older formats) with numpy arrays in place of tensors.

    Admitted are dense tensors of real numbers, numbers, strings and the built-in containers (an OrderedDict comes as a
    dict, a parameter as its array). A file that names anything else is refused; nothing in a file is ever executed.

    Args:
      path: file written by torch.save.

    Returns:
      The saved object. Arrays have the saved dtype; as tensors do, they may be views that share memory. Read only.

    Raises:
      InputError: no such file; not one of torch.save; truncated or inconsistent; names something else than tensors.
    """
    path = Path(path).expanduser()
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                return _read_zip(file)
            file.seek(257)
            if file.read(5) == b"ustar":
                return _read_tar(file)
            return _read_legacy(file)
    except InputError as error:
        raise InputError(f"{path}: {error}; save model.state_dict() with torch.save, or get the file anew.") from None
    except OSError as error:
        raise InputError(f"{path} must be a readable file, got: {error.strerror or error}; check the path.") from None
    except Exception as error:  # a damaged or hostile file can provoke nearly any
        got = f"{type(error).__name__} ({error})"
        raise InputError(f"{path} must be a whole file written by torch.save, got {got}; get the file anew.") from None


def _read_zip(file: BinaryIO) -> Any:
    """torch >= 1.6: an uncompressed zip of one pickle and an entry for each storage."""
    length = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise InputError("the entries must be uncompressed as torch.save leaves them, got a compressed zip")
        if sum(sizes.values()) > length:
            raise InputError(f"the entries must fit into the file's {length} bytes, got {sum(sizes.values())}")
        pickles = [name for name in sizes if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise InputError(f"the zip must hold one data.pkl as torch.save writes it, got {sorted(sizes)[:5]}")
        folder = pickles[0].removesuffix("data.pkl")
        order = f"{folder}byteorder"
        _check_little_endian(order not in sizes or archive.read(order) == b"little")
        storages = {}

        def storage(identity):
            kind, dtype, key, _, count = identity
            check_key(key)
            if key not in storages:
                storages[key] = np.frombuffer(archive.read(f"{folder}data/{key}"), np.uint8)
            return _elements(kind, storages[key], dtype, count)

        return read_pickle(io.BytesIO(archive.read(pickles[0])), admitted=_ADMITTED, persistent=storage)


def _read_legacy(file: BinaryIO) -> Any:
    """Before: pickles of the magic number, version, machine, the object and its storages' keys; then the storages."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(2) == b"PK":
        raise InputError("the file must be whole, got a zip whose end is missing")
    file.seek(0)
    if read_pickle(file, admitted=_ADMITTED) != _MAGIC:
        raise InputError("the file must be one of torch.save, got another pickle")
    read_pickle(file, admitted={})  # the version, 1001 ever since
    _check_little_endian(read_pickle(file, admitted={})["little_endian"])
    storages = {}  # key -> (bytes, dtype): made when the object first refers to it, filled afterwards

    def storage(identity):
        kind, dtype, key, _, count, view = identity
        check_key(key)
        if key not in storages:
            taken = sum(data.size for data, _ in storages.values())
            if not _is_count(count) or taken + count * dtype.itemsize > length:
                raise InputError(
                    f"the tensors must fit into the file's {length} bytes, got {_brief(count)} elements in one"
                )
            storages[key] = (np.zeros(count * dtype.itemsize, np.uint8), dtype)
        elements = _elements(kind, storages[key][0], dtype, count)
        if view is None:
            return elements
        _, start, size = view
        return _part(elements, start, size)

    contents = read_pickle(file, admitted=_ADMITTED, persistent=storage)
    for key in read_pickle(file, admitted={}):
        check_key(key)
        data, dtype = storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count * dtype.itemsize != data.size or file.readinto(data) != data.size:
            raise InputError(f"storage {key} must have {data.size} bytes, got fewer or another count")
        del storages[key]
    if storages:
        raise InputError(f"every storage must be in the file, got none for {_brief(list(storages))}")
    return contents


def _read_tar(file: BinaryIO) -> Any:
    """Before January 2017: a tar of the storages, of the tensors, and of a pickle that refers to both by number."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as archive:

        def member(name):
            entry = archive.getmember(name)
            if not entry.isreg() or entry.issparse():  # a sparse one can be larger than the file
                raise InputError(f"the tar's entries must be plain files, got another kind for {name}")
            return archive.extractfile(entry)

        objects = _tar_storages(member("storages"), length)
        _add_tar_tensors(member("tensors"), objects)
        return read_pickle(member("pickle"), admitted=_ADMITTED, persistent=lambda key: objects[int(key)])


def _tar_storages(file: BinaryIO, length: int) -> dict[int, np.ndarray]:
    """Their number; key, place and type of each with its count and bytes; then those that are parts of others."""
    storages = {}
    for _ in range(read_pickle(file, admitted={})):
        key, _, dtype = read_pickle(file, admitted=_ADMITTED)
        (count,) = struct.unpack("<q", file.read(8))
        if not isinstance(dtype, np.dtype) or not 0 <= count * dtype.itemsize <= length:
            raise InputError(f"the tensors must fit into the file's {length} bytes, got {count} of {_brief(dtype)}")
        data = np.frombuffer(file.read(count * dtype.itemsize), np.uint8)
        storages[int(key)] = _elements("storage", data, dtype, count)
    for key, root, start, size in read_pickle(file, admitted={}):
        storages[int(key)] = _part(storages[int(root)], start, size)
    return storages


def _add_tar_tensors(file: BinaryIO, objects: dict[int, np.ndarray]) -> None:
    """Their number; key, storage and type of each with its dimensions, sizes, strides and offset."""
    for _ in range(read_pickle(file, admitted={})):
        key, storage, _ = read_pickle(file, admitted=_ADMITTED)
        (ndim,) = struct.unpack("<i4x", file.read(8))
        if not 0 <= ndim <= 32:
            raise InputError(f"a tensor must have at most 32 dimensions, got {ndim}")
        size, stride = (struct.unpack(f"<{ndim}q", file.read(8 * ndim)) for _ in range(2))
        (offset,) = struct.unpack("<q", file.read(8))
        objects[int(key)] = _tensor(objects[int(storage)], offset, size, stride)


def _part(elements: np.ndarray, start: int, size: int) -> np.ndarray:
    """A storage that shares a range of another's elements, which torch before 0.4 knew."""
    if not (_is_count(start) and _is_count(size) and start + size <= elements.size):
        got = f"{_brief(size)} from {_brief(start)}"
        raise InputError(f"a view must lie within its storage of {elements.size}, got {got}")
    return elements[start : start + size]


def _brief(value: Any) -> str:
    return reprlib.repr(value)  # the whole text of nested shared tuples can be longer than any memory


def _check_little_endian(is_little: bool) -> None:
    if not is_little:
        raise InputError("the byte order must be little endian, got big endian")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _elements(kind: str, data: np.ndarray, dtype: np.dtype, count: int) -> np.ndarray:
    """The bytes of a storage as `count` numbers."""
    if kind != "storage" or not isinstance(dtype, np.dtype):
        raise InputError(f"a tensor must be made of a storage of numbers, got {_brief(kind)} of {_brief(dtype)}")
    if not _is_count(count) or count * dtype.itemsize != data.size:
        raise InputError(f"a storage of {data.size} bytes must hold as many as are stated, got {_brief(count)} {dtype}")
    return data.view(dtype)


def _tensor(storage: np.ndarray, offset: int, size: tuple, stride: tuple, *unused: Any) -> np.ndarray:
    """torch._utils._rebuild_tensor(_v2): a view of a storage; offset and strides in elements."""
    numbers = (offset, *size, *stride)
    if storage.ndim != 1 or len(size) != len(stride) or not all(map(_is_count, numbers)):
        raise InputError(f"a tensor must have an offset, a size and a stride, got {_brief(numbers)}")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = math.prod(size)
    # no more elements than the storage, though strides of 0 could make them: a small file stays small in memory
    if count > storage.size or (count and last >= storage.size):
        raise InputError(
            f"a tensor must lie within its storage of {storage.size}, "
            f"got {_brief(size)} from {_brief(offset)} by {_brief(stride)}"
        )
    strides = [step * storage.itemsize for step in stride]
    begin = storage[min(offset, storage.size) :]
    return np.lib.stride_tricks.as_strided(begin, size, strides, writeable=False)


def _old_parameter(state: tuple) -> np.ndarray:
    data, _, _, _, _ = state  # what it was computed from, hooks, two flags
    return data


def _parameter(data: np.ndarray, *unused: Any) -> np.ndarray:
    return data


def _dtype(code: str, *unused: Any) -> np.dtype:
    """numpy.dtype of a number: metrics saved beside the weights are often numpy scalars."""
    if type(code) is not str or code not in {"b1", *(kind + size for kind in "iuf" for size in "1248")}:
        raise InputError(f"a number must be boolean, integer or float, got dtype {_brief(code)}")
    return np.dtype(code)


def _number(dtype: np.dtype, data: bytes) -> bool | int | float:
    if not isinstance(dtype, np.dtype):
        raise InputError(f"a number must have a dtype, got {_brief(dtype)}")
    return np.frombuffer(data, dtype, 1)[0].item()


def _bytes(text: str, encoding: str) -> bytes:
    """What a protocol without bytes makes of them."""
    return text.encode("latin1")


# Tensors before _rebuild_tensor, of early 2017: an empty object of the class, and its storage, offset, size and stride
_OLD_TENSOR = Buildable(lambda state: _tensor(*state))
_OLD_TENSORS = ("Float", "Double", "Half", "Long", "Int", "Short", "Char", "Byte")

_ADMITTED = {
    "collections OrderedDict": lambda pairs=(): mapping(pairs),
    **{f"torch {kind}Tensor": _OLD_TENSOR for kind in _OLD_TENSORS},
    "torch.nn.parameter Parameter": Buildable(_old_parameter, new=_parameter),
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch FloatStorage": np.dtype(np.float32),
    "torch DoubleStorage": np.dtype(np.float64),
    "torch HalfStorage": np.dtype(np.float16),
    "torch BFloat16Storage": np.dtype(jnp.bfloat16),
    "torch LongStorage": np.dtype(np.int64),
    "torch IntStorage": np.dtype(np.int32),
    "torch ShortStorage": np.dtype(np.int16),
    "torch CharStorage": np.dtype(np.int8),
    "torch ByteStorage": np.dtype(np.uint8),
    "torch BoolStorage": np.dtype(np.bool_),
    "numpy dtype": _dtype,
    "numpy.core.multiarray scalar": _number,
    "numpy._core.multiarray scalar": _number,
    "_codecs encode": _bytes,
}
