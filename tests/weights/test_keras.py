"""Keras's .h5 files: published layout, whole model without top, Keras 3; test_pretrained compares activations."""

import pathlib
import sys

import h5py
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.weights.keras import keras_vgg16
from tests.nets.vgg16 import LAYERS

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
PUBLISHED = GOLDEN / "weights_keras_published.h5"


@pytest.mark.parametrize(
    ("file", "top"), [("weights_keras_notop.h5", False), ("weights_keras_3.weights.h5", True)], ids=["notop", "keras3"]
)
def test_every_layout_gives_the_same_parameters(file, top):
    expected, got = keras_vgg16(PUBLISHED), keras_vgg16(GOLDEN / file)
    assert list(expected) == [*LAYERS, "fc6", "fc7"]
    assert list(got) == [*LAYERS, "fc6", "fc7"] if top else [*LAYERS]
    for layer in got:
        for leaf in ("kernel", "bias"):
            np.testing.assert_array_equal(got[layer][leaf], expected[layer][leaf])


def test_a_file_of_tf_keras_is_read(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file, h5py.File(PUBLISHED) as published:
        for layer, group in published.items():
            for name, data in group.items():
                kind = "kernel" if "_W_" in name else "bias"
                file[f"{layer}/{layer}/{kind}:0"] = data[()]
    got = keras_vgg16(tmp_path / "x.h5")
    np.testing.assert_array_equal(got["conv4_2"]["kernel"], keras_vgg16(PUBLISHED)["conv4_2"]["kernel"])


def changed(tmp_path, change):
    path = tmp_path / "x.h5"
    path.write_bytes(PUBLISHED.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def test_one_error_names_every_array_that_does_not_fit(tmp_path):
    def change(file):
        del file["block2_conv2/block2_conv2_b_1:0"]
        del file["block4_conv3"]
        file["block3_conv4/block3_conv4_W_1:0"] = np.zeros((3, 3, 8, 8), np.float32)
        del file["fc1/fc1_W_1:0"]
        file["fc1/fc1_W_1:0"] = np.zeros((16 * 36, 8), np.float32)
        file["stray"] = np.zeros(3, np.float32)

    path = changed(tmp_path, change)
    with pytest.raises(InputError) as error:
        keras_vgg16(path)
    message = str(error.value)
    assert str(path) in message and "got those of VGG19" in message
    assert "missing block2_conv2/bias, block4_conv3/bias, block4_conv3/kernel" in message
    assert "unknown block3_conv4/kernel, stray" in message
    assert "fc1/kernel is 576x8, should be 784x8" in message


def test_arrays_stored_outside_the_file_are_refused(tmp_path):
    def huge(file):
        del file["fc1"]
        file.create_dataset("fc1/fc1_b_1:0", (2**40,), np.float32, chunks=(1024,))  # takes no space until written

    def elsewhere(file):
        del file["fc1/fc1_b_1:0"]
        file.create_dataset("fc1/fc1_b_1:0", (8,), np.float32, external=[(str(PUBLISHED), 0, 32)])

    for change in (huge, elsewhere):
        with pytest.raises(InputError, match="x.h5: the arrays must be stored in the file, got"):
            keras_vgg16(changed(tmp_path, change))


def test_files_that_are_no_hdf5_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"x\.h5 must be an \.h5 file, got none"):
        keras_vgg16(tmp_path / "x.h5")
    whole = PUBLISHED.read_bytes()
    for data in (b"", b"<html>", whole[:1000], whole[: len(whole) // 2]):
        (tmp_path / "x.h5").write_bytes(data)
        with pytest.raises(InputError, match=r"x\.h5"):
            keras_vgg16(tmp_path / "x.h5")


def test_missing_h5py_is_an_error_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)  # makes importing it fail
    with pytest.raises(InputError, match=r'need h5py, got none installed; pip install "jaxdet\[keras\]"'):
        keras_vgg16(PUBLISHED)
