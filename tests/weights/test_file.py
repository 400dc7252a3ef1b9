"""A file of weights is read by its content, whatever its name."""

import numpy as np

from jaxdet.io.safetensors import write_safetensors
from jaxdet.weights.file import read_weights
from jaxdet.weights.pretrained import load_pretrained
from jaxdet.weights.torch import state_dict
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
