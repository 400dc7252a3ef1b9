"""Reading of files written by torch.save, without torch and without executing anything in the file."""

import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from jaxdet.checks import InputError
from jaxdet.weights.torch_tensors import ADMITTED, as_numbers, brief, is_count, rebuild_tensor, storage_view
from jaxdet.weights.unpickle import Ignored, check_key, read_pickle

_MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of the legacy format, used before torch 1.6


def read_torch_file(path: str | os.PathLike) -> Any:
    """Return the contents of a .pth file (zip or one of the two older formats), with numpy arrays for tensors.

    Read are dense tensors and numpy arrays of real numbers, numbers, strings and the built-in containers (an
    OrderedDict is read as a dict, a parameter as its array). An `Ignored` stands for any other object, and an entry
    whose key is no string or integer is left out; nothing in a file is ever executed.

    Args:
      path: file written by torch.save.

    Returns:
      The saved object. Arrays have the saved dtype and are read-only; like tensors they may be views that share memory.

    Raises:
      InputError: no such file; not written by torch.save; truncated or inconsistent.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                return _read_zip(file)
            file.seek(257)
            if file.read(5) == b"ustar":
                return _read_tar(file)
            return _read_legacy(file)
    except InputError as error:
        raise InputError(
            f"{path}: {error}; save model.state_dict() with torch.save, or download the file again."
        ) from None
    except OSError as error:
        raise InputError(f"{path} must be a readable file, got: {error.strerror or error}; check the path.") from None
    except Exception as error:  # a damaged or hostile file can cause nearly any
        got = f"{type(error).__name__} ({str(error)[:200]})"
        raise InputError(
            f"{path} must be a whole file written by torch.save, got {got}; download the file again."
        ) from None


def _read_zip(file: BinaryIO) -> Any:
    """Read the format since torch 1.6: an uncompressed zip of one pickle and one entry per storage."""
    length = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        # Refuse entries that could be larger in memory than in the file.
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise InputError("the entries must be uncompressed as torch.save leaves them, got a compressed zip")
        if sum(sizes.values()) > length:
            raise InputError(f"the entries must fit into the file's {length} bytes, got {sum(sizes.values())}")

        # Find the pickle, and check the byte order.
        pickles = [name for name in sizes if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise InputError(f"the zip must hold one data.pkl as torch.save writes it, got {sorted(sizes)[:5]}")
        folder = pickles[0].removesuffix("data.pkl")
        order = f"{folder}byteorder"
        _check_little_endian(order not in sizes or archive.read(order) == b"little")

        # Read the pickle, and each storage when a tensor first refers to it.
        storages = {}

        def storage(identity: Any) -> Any:
            kind, dtype, key, _, count = identity
            if isinstance(dtype, Ignored):
                return dtype
            check_key(key)
            if key not in storages:
                storages[key] = np.frombuffer(archive.read(f"{folder}data/{key}"), np.uint8)
            return as_numbers(kind, storages[key], dtype, count)

        return read_pickle(io.BytesIO(archive.read(pickles[0])), admitted=ADMITTED, persistent=storage)


def _read_legacy(file: io.BufferedReader) -> Any:
    """Read the format before torch 1.6.

    Pickles of the magic number, the version, the machine, the object and the keys of its storages; then the storages.
    """
    # Check the header.
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(2) == b"PK":
        raise InputError("the file must be whole, got a zip whose end is missing")
    file.seek(0)
    if read_pickle(file, admitted=ADMITTED) != _MAGIC:
        raise InputError("the file must be one of torch.save, got another pickle")
    read_pickle(file, admitted={})  # the version, 1001 ever since
    _check_little_endian(read_pickle(file, admitted={})["little_endian"])

    # Read the object; a storage is allocated when a tensor first refers to it.
    storages: dict[str | int, tuple[np.ndarray, np.dtype]] = {}  # key -> (bytes, dtype)

    def storage(identity: Any) -> Any:
        if isinstance(identity[1], Ignored):  # the source code of a whole model
            if identity[0] == "module":
                return identity[1]
            raise InputError(f"a storage must be of a type of numbers that is read here, got {identity[1].name}")
        kind, dtype, key, _, count, view = identity
        check_key(key)
        if key not in storages:
            allocated = sum(data.size for data, _ in storages.values())
            if not is_count(count) or allocated + count * dtype.itemsize > length:
                raise InputError(
                    f"the tensors must fit into the file's {length} bytes, got {brief(count)} elements in one"
                )
            storages[key] = (np.zeros(count * dtype.itemsize, np.uint8), dtype)
        elements = as_numbers(kind, storages[key][0], dtype, count)
        if view is None:
            return elements
        _, start, size = view
        return storage_view(elements, start, size)

    contents = read_pickle(file, admitted=ADMITTED, persistent=storage)

    # Fill the storages.
    for key in read_pickle(file, admitted={}):
        check_key(key)
        data, dtype = storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count * dtype.itemsize != data.size or file.readinto(data.data) != data.size:
            raise InputError(f"storage {key} must have {data.size} bytes, got fewer or another count")
        del storages[key]
    if storages:
        raise InputError(f"every storage must be in the file, got none for {brief(list(storages))}")
    return contents


def _read_tar(file: BinaryIO) -> Any:
    """Read the format before January 2017: a tar of storages, tensors, and a pickle that refers to both by number."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as archive:

        def member(name: str) -> IO[bytes]:
            entry = archive.getmember(name)
            if not entry.isreg() or entry.issparse():  # a sparse one can be larger than the file
                raise InputError(f"the tar's entries must be plain files, got another kind for {name}")
            contents = archive.extractfile(entry)
            assert contents is not None  # as it is a regular file
            return contents

        objects = _tar_storages(member("storages"), length)
        _add_tar_tensors(member("tensors"), objects)
        return read_pickle(member("pickle"), admitted=ADMITTED, persistent=lambda key: objects[int(key)])


def _tar_storages(file: IO[bytes], length: int) -> dict[int, np.ndarray]:
    """Read the storages: how many; key, location and type of each, its count and bytes; then the views of others."""
    storages = {}
    for _ in range(read_pickle(file, admitted={})):
        key, _, dtype = read_pickle(file, admitted=ADMITTED)
        (count,) = struct.unpack("<q", file.read(8))
        if not isinstance(dtype, np.dtype) or not 0 <= count * dtype.itemsize <= length:
            raise InputError(f"the tensors must fit into the file's {length} bytes, got {count} of {brief(dtype)}")
        data = np.frombuffer(file.read(count * dtype.itemsize), np.uint8)
        storages[int(key)] = as_numbers("storage", data, dtype, count)
    for key, root, start, size in read_pickle(file, admitted={}):
        storages[int(key)] = storage_view(storages[int(root)], start, size)
    return storages


def _add_tar_tensors(file: IO[bytes], objects: dict[int, np.ndarray]) -> None:
    """Read the tensors: how many; key, storage and type of each, its dimensions, sizes, strides and offset."""
    for _ in range(read_pickle(file, admitted={})):
        key, storage, _ = read_pickle(file, admitted=ADMITTED)
        (ndim,) = struct.unpack("<i4x", file.read(8))
        if not 0 <= ndim <= 32:
            raise InputError(f"a tensor must have at most 32 dimensions, got {ndim}")
        size, stride = (struct.unpack(f"<{ndim}q", file.read(8 * ndim)) for _ in range(2))
        (offset,) = struct.unpack("<q", file.read(8))
        objects[int(key)] = rebuild_tensor(objects[int(storage)], offset, size, stride)


def _check_little_endian(is_little: bool) -> None:
    if not is_little:
        raise InputError("the byte order must be little endian, got big endian")
