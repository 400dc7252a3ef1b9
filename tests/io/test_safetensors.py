"""The format of safetensors: what is written is read again; damaged and hostile files are refused with the reason."""

import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.io.safetensors import read_metadata, read_safetensors, write_safetensors

ARRAYS = {
    "b/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.float16([[1.5]]),
    "half": np.asarray([1, 2, 3], jnp.bfloat16),
    "count": np.asarray(7, np.int64),
    "none": np.zeros((0, 4), np.float32),
}


def file(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(start=0, end=8, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def test_arrays_and_metadata_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, ARRAYS, {"config": "{}"})
    arrays, metadata = read_safetensors(path)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
    assert metadata["config"] == "{}" and metadata == read_metadata(path)
    assert (8 + struct.unpack("<Q", path.read_bytes()[:8])[0]) % 8 == 0


def test_a_file_of_the_format_without_metadata_is_read(tmp_path):
    path = file(tmp_path / "x", {"w": entry(8, 16), "v": entry(0, 8, dtype="I64", shape=())}, bytes(range(16)))
    arrays, metadata = read_safetensors(path)
    assert metadata == {} == read_metadata(path)
    assert arrays["w"].tobytes() == bytes(range(8, 16)) and arrays["v"].shape == ()


def test_a_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, ARRAYS, {})
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    with pytest.raises(InputError, match="x.safetensors: the arrays must have the hash that the file states, got oth"):
        read_safetensors(path)


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"w": entry()}, b"1234567", "w must lie in the file with its .2. numbers, got bytes 0 to 8"),
        ({"w": entry()}, b"123456789", "must fill the file, got 1 bytes more"),
        ({"w": entry(4, 12)}, b"123456789012", "one from byte 4 where 0 is next"),
        ({"w": entry(), "v": entry()}, b"12345678", "one from byte 0 where 8 is next"),
        ({"w": entry(shape=(3,))}, b"12345678", "w must lie in the file with its .3. numbers"),
        ({"w": entry(shape=(-2,))}, b"12345678", "w must have whole numbers"),
        ({"w": entry(8, 0)}, b"12345678", "w must lie in the file"),
        ({"w": entry(dtype="F8_E4M3", shape=(8,))}, b"12345678", "w must have one of the types .* got 'F8_E4M3'"),
        ({"w": {"dtype": "F32"}}, b"", "must be a whole file of safetensors, got KeyError"),
        ({"w": 3}, b"", "must be a whole file of safetensors, got TypeError"),
        ([1], b"", "the header must be a JSON object"),
        (b"{nothing", b"", "must be a whole file of safetensors, got JSONDecodeError"),
        (b"\xff\xfe\xff", b"", "must be a whole file of safetensors, got UnicodeDecodeError"),
        (b"[" * 100_000, b"", "must be a whole file of safetensors, got RecursionError"),
        ({"__metadata__": {"a": 1}}, b"", "the metadata must be texts by name"),
    ],
)
def test_damaged_files_are_refused(header, data, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_safetensors(file(tmp_path / "x", header, data))


@pytest.mark.parametrize("content", [b"", b"1234567", struct.pack("<Q", 10**15) + b"{}", b"PK\x03\x04" + bytes(200)])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(InputError, match="the header's length must fit into the file's"):
        read_safetensors(path)
    with pytest.raises(InputError, match="must be a file of safetensors, got another"):
        read_metadata(path)
    for read in (read_safetensors, read_metadata):
        with pytest.raises(InputError, match="nowhere must be a readable file"):
            read(tmp_path / "nowhere")
