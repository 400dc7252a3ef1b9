"""Files of safetensors: eight bytes that hold the header's length, a JSON header, then the raw arrays.

Read and written here rather than by the package `safetensors`: its numpy interface does not verify a hash and needs a
second call for the metadata, and the format is one JSON object. Nothing in a file is executed.
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdet.checks import InputError
from jaxdet.io.atomic import atomic_write

SUFFIX = ".safetensors"
MAX_HEADER = 100_000_000  # bytes, the limit of the format
DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": jnp.dtype("bfloat16"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("bool"),
}
HASH = "sha256"  # in the metadata of files written here: of the bytes of all arrays


def is_safetensors(path: Path) -> bool:
    """Return whether there is a file at `path` whose header starts as that of safetensors does."""
    try:
        with path.open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError:
        return False


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays by name, read-only, and the metadata ({} where the file has none).

    Raises:
      InputError: no such file; not this format; truncated; or its bytes are not those that its own hash is of.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} must be a readable file, got: {error.strerror}; check the path.") from error
    try:
        header, start = _header(data)
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
            raise InputError("the metadata must be texts by name, got others")
        buffer = np.frombuffer(data, np.uint8)[start:]
        arrays = {name: _array(name, entry, buffer) for name, entry in header.items()}
        _check_coverage(header, len(buffer))
        if HASH in metadata and hashlib.sha256(buffer.data).hexdigest() != metadata[HASH]:
            raise InputError("the arrays must have the hash that the file states, got others")
    except InputError as error:
        raise InputError(f"{path}: {error}; download or export it again.") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # of a damaged or hostile header
        raise InputError(
            f"{path} must be a whole file of safetensors, got {type(error).__name__} ({error}); download it again."
        ) from error
    return arrays, metadata


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a file without reading its arrays.

    Raises:
      InputError: as read_safetensors, of the header only.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            metadata = _header(start + file.read(min(length, MAX_HEADER)))[0].get("__metadata__", {})
    except OSError as error:
        raise InputError(f"{path} must be a readable file, got: {error.strerror}; check the path.") from error
    except (InputError, ValueError, RecursionError) as error:
        raise InputError(f"{path} must be a file of safetensors, got another ({error}); download it again.") from None
    return metadata if isinstance(metadata, dict) else {}


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write the arrays, sorted by name, and the metadata with their hash; atomically.

    Raises:
      OSError: the file cannot be written.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    ordered = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    sha256, header, end = hashlib.sha256(), {}, 0
    for name, array in ordered.items():
        sha256.update(array.reshape(-1).view(np.uint8).data)
        entry = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        header[name], end = entry, end + array.nbytes
    text = json.dumps({"__metadata__": {**metadata, HASH: sha256.hexdigest()}, **header}).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays are aligned
    with atomic_write(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in ordered.values():
            file.write(array.reshape(-1).view(np.uint8).data)


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """Return the header and where the arrays start."""
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    if not 2 <= length <= min(len(data) - 8, MAX_HEADER):
        raise InputError(f"the header's length must fit into the file's {len(data)} bytes, got {length}")
    header = json.loads(data[8 : 8 + length].decode())
    if not isinstance(header, dict):
        raise InputError("the header must be a JSON object, got another value")
    return header, 8 + length


def _array(name: str, entry: dict[str, Any], buffer: np.ndarray) -> np.ndarray:
    if entry["dtype"] not in DTYPES:
        raise InputError(f"{name} must have one of the types {', '.join(DTYPES)}, got {entry['dtype']!r}")
    dtype, shape, (start, end) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, start, end)):
        raise InputError(f"{name} must have whole numbers as shape and offsets, got {shape} and {start, end}")
    if not start <= end <= len(buffer) or end - start != math.prod(shape) * dtype.itemsize:
        raise InputError(f"{name} must lie in the file with its {shape} numbers, got bytes {start} to {end}")
    return buffer[start:end].view(dtype).reshape(shape)


def _check_coverage(header: dict[str, Any], length: int) -> None:
    """Raise InputError unless the arrays fill the rest of the file, one after the other, as the format demands."""
    end = 0
    for start, stop in sorted(entry["data_offsets"] for entry in header.values()):
        if start != end:
            raise InputError(f"the arrays must follow each other, got one from byte {start} where {end} is next")
        end = stop
    if end != length:
        raise InputError(f"the arrays must fill the file, got {length - end} bytes more")
