"""A file of weights is read by its content, whatever its name."""

import os

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.io.safetensors import write_safetensors
from jaxdet.weights.file import read_weights
from jaxdet.weights.pretrained import load_pretrained
from jaxdet.weights.state_dict import state_dict
from jaxdet.weights.torch_file import read_torch_file
from tests.golden.files import GOLDEN


def test_safetensors_and_torchs_files_give_the_same_parameters(tmp_path):
    state = state_dict(read_torch_file(GOLDEN / "weights_torchvision.pth"))
    path = tmp_path / "vgg16.bin"
    write_safetensors(path, state, {})
    assert read_weights(path).keys() == read_weights(GOLDEN / "weights_torchvision.pth").keys()
    ours = load_pretrained("torchvision", file=path)
    theirs = load_pretrained("torchvision", file=GOLDEN / "weights_torchvision.pth")
    assert ours.keys() == theirs.keys()
    for name, layer in ours.items():
        np.testing.assert_array_equal(layer["kernel"], theirs[name]["kernel"])


def test_what_is_no_regular_file_or_too_large_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "zero.pth").symlink_to("/dev/zero")
    with (tmp_path / "huge.pth").open("wb") as file:
        file.truncate(2**40)  # takes no space
    for name, reason in {
        "pipe.pth": "is a named pipe, not a file",
        "": "is a folder, not a file",
        "zero.pth": "is a device, not a file",
        "huge.pth": "has 1099511627776 bytes, more than 4294967296",
    }.items():
        with pytest.raises(InputError, match=f"{name} must be a readable file, got: {reason}; check the path"):
            read_weights(tmp_path / name)
