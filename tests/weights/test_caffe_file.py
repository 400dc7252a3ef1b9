"""Reading of .caffemodel files that the protobuf library wrote."""

import os

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.weights.caffe_file import is_caffemodel, read_caffemodel
from tests.weights import caffe_model

ARRAYS = {
    "conv1": (np.arange(54, dtype=np.float32).reshape(2, 3, 3, 3), np.float32([1, 2])),
    "fc6": (np.arange(8, dtype=np.float32).reshape(4, 2), np.float32([1, 2, 3, 4])),
}


@pytest.mark.parametrize("generation", caffe_model.GENERATIONS)
def test_layers_of_every_generation_are_read(generation, tmp_path):
    file = caffe_model.write(tmp_path / "net", ARRAYS, generation=generation, extra=["data", "relu1"])
    assert is_caffemodel(file)
    arrays = read_caffemodel(file)
    assert list(arrays) == ["conv1.weight", "conv1.bias", "fc6.weight", "fc6.bias"]
    for name, (weight, bias) in ARRAYS.items():
        np.testing.assert_array_equal(arrays[f"{name}.weight"], weight, strict=True)
        np.testing.assert_array_equal(arrays[f"{name}.bias"], bias, strict=True)


def test_a_damaged_file_is_refused(tmp_path):
    file = caffe_model.write(tmp_path / "net.caffemodel", ARRAYS)
    content = file.read_bytes()
    for length in range(0, len(content), 7):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match="net.caffemodel must (be a whole .caffemodel|hold the layers)"):
            read_caffemodel(file)
    file.write_bytes(content[:-3] + b"abc" + content[-3:])
    with pytest.raises(InputError, match="must be a whole .caffemodel file"):
        read_caffemodel(file)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="missing.caffemodel must be a readable file, got: No such file"):
        read_caffemodel(tmp_path / "missing.caffemodel")
    os.mkfifo(tmp_path / "pipe.caffemodel")
    assert is_caffemodel(tmp_path / "pipe.caffemodel")
    with pytest.raises(InputError, match="is a named pipe, not a file"):
        read_caffemodel(tmp_path / "pipe.caffemodel")
    (tmp_path / "model.pth").write_bytes(b"PK\x03\x04")
    assert not is_caffemodel(tmp_path / "model.pth")


@pytest.mark.parametrize("length", [10, 18])  # the first bytes of a message
def test_a_safetensors_file_is_no_message(length, tmp_path):
    header = b"{}".ljust(length)
    (tmp_path / "model.safetensors").write_bytes(length.to_bytes(8, "little") + header)
    assert not is_caffemodel(tmp_path / "model.safetensors")
