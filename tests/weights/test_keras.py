"""Keras's .h5 files: published layout, whole model without top, Keras 3; test_pretrained compares activations."""

import os
import pathlib
import sys
import zipfile

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
    assert "unknown block3_conv4/kernel; fc1/kernel" in message
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
    with pytest.raises(InputError, match=r"x\.h5 must be an \.h5 or \.keras file, got: No such file"):
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


# ---- Keras 3 without the names of layers, nested models, .keras


def keras_3(path, *, inside="", top=True, extra=()):
    """Write the golden Keras 3 file again without names of layers, with VGG16 in a group `inside`."""
    with h5py.File(path, "w") as file, h5py.File(GOLDEN / "weights_keras_3.weights.h5") as golden:
        file.create_group("vars")
        for name, layer in golden["layers"].items():
            if top or not name.startswith("dense"):
                variables = file.create_group(f"{inside}layers/{name}/vars")
                for number, data in layer["vars"].items():
                    variables[number] = data[()]
        for name in extra:
            file[f"{name}/vars/0"], file[f"{name}/vars/1"] = np.zeros((16, 3), np.float32), np.zeros(3, np.float32)
        file["optimizer/vars/0"] = np.zeros(3, np.float32)
    return path


def keras_archive(path, weights, *, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.4.1"}')
        archive.writestr("config.json", "{}")
        if weights is not None:
            archive.writestr("model.weights.h5", weights)
    return path


def assert_vgg16(got, *, top):
    expected = keras_vgg16(PUBLISHED)
    assert list(got) == ([*LAYERS, "fc6", "fc7"] if top else [*LAYERS])
    for layer in got:
        np.testing.assert_array_equal(got[layer]["kernel"], expected[layer]["kernel"])
        np.testing.assert_array_equal(got[layer]["bias"], expected[layer]["bias"])


@pytest.mark.parametrize("archive", [False, True], ids=["weights.h5", "keras"])
@pytest.mark.parametrize(
    ("inside", "top", "extra"),
    [
        ("", True, ()),
        ("", False, ()),
        ("", False, ("layers/dense", "layers/dense_1")),  # a head of one's own in the same model
        ("layers/functional/", False, ("layers/dense",)),
        ("layers/functional/", True, ("layers/dense", "layers/conv2d")),
        ("backbone/", False, ("head",)),
        ("_layer_checkpoint_dependencies/", True, ()),
    ],
)
def test_keras_3_without_names_of_layers_is_read_by_their_order(tmp_path, inside, top, extra, archive):
    path = keras_3(tmp_path / "x.weights.h5", inside=inside, top=top, extra=extra)
    if archive:
        path = keras_archive(tmp_path / "x.keras", path.read_bytes())
    assert_vgg16(keras_vgg16(path), top=top)


def test_a_nested_model_with_names_is_read(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file, h5py.File(GOLDEN / "weights_keras_notop.h5") as golden:
        for layer, group in golden["model_weights"].items():
            if layer in group:
                golden.copy(group[layer], file, f"model_weights/vgg16/{layer}")
        file["model_weights/dense/dense/kernel:0"] = np.zeros((16, 2), np.float32)
    assert_vgg16(keras_vgg16(tmp_path / "x.h5"), top=False)


def test_of_two_networks_the_first_is_read_and_named_in_the_log(tmp_path, caplog):
    path = keras_3(tmp_path / "x.weights.h5", inside="layers/functional/")
    with h5py.File(path, "r+") as file:
        file.copy("layers/functional", "layers/functional_1")
        file["layers/functional_1/layers/conv2d/vars/1"][:] = 9
    assert_vgg16(keras_vgg16(path), top=True)
    assert "several networks (layers/functional/layers, layers/functional_1/layers)" in caplog.text
    assert "reading layers/functional/layers" in caplog.text


def test_other_networks_are_refused_in_one_short_line(tmp_path):
    path = keras_3(tmp_path / "x.weights.h5")
    with h5py.File(path, "r+") as file:
        file["layers/conv2d_13/vars/0"] = np.zeros((3, 3, 16, 16), np.float32)
    with pytest.raises(InputError, match="must have VGG16's 13 convolutions, got 14; give a file"):
        keras_vgg16(path)
    with h5py.File(path, "w") as file:  # VGG19, by the names of its layers
        for name, layer in h5py.File(GOLDEN / "weights_keras_3.weights.h5")["layers"].items():
            if "0" in layer["vars"]:
                file.copy(layer, f"layers/{name}")
        file["layers/conv2d_13/vars/0"] = np.zeros((3, 3, 8, 8), np.float32)
        file["layers/conv2d_13/vars"].attrs["name"] = "block3_conv4"
    with pytest.raises(InputError, match="got those of VGG19: unknown block3_conv4/kernel"):
        keras_vgg16(path)
    with h5py.File(path, "w") as file:
        for i in range(200):
            file[f"some_layer_{i}/kernel"] = np.zeros(3, np.float32)
    with pytest.raises(InputError, match="missing block1_conv1/bias, .*, 22 more") as error:
        keras_vgg16(path)
    assert len(str(error.value)) < 600


def test_archives_that_hold_no_weights_or_too_large_ones_are_refused(tmp_path):
    with pytest.raises(InputError, match="must hold model.weights.h5, got metadata.json, config.json"):
        keras_vgg16(keras_archive(tmp_path / "x.keras", None))
    path = keras_3(tmp_path / "x.weights.h5")
    packed = keras_archive(tmp_path / "packed.keras", path.read_bytes(), compression=zipfile.ZIP_DEFLATED)
    assert_vgg16(keras_vgg16(packed), top=True)
    bomb = keras_archive(tmp_path / "bomb.keras", bytes(2**24), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="at most 4294967296 bytes and 20 times its compressed size, got 16777216"):
        keras_vgg16(bomb)
    for data in (b"", b"no HDF5"):
        with pytest.raises(InputError, match=r"must be a whole HDF5 or \.keras file"):
            keras_vgg16(keras_archive(tmp_path / "x.keras", data))


def test_what_is_no_regular_file_or_too_large_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    (tmp_path / "zero.h5").symlink_to("/dev/zero")
    with (tmp_path / "huge.h5").open("wb") as file:
        file.truncate(2**40)  # takes no space
    for name, reason in {"pipe.h5": "is a named pipe", "zero.h5": "is a device", "": "is a folder"}.items():
        with pytest.raises(InputError, match=f"must be an .h5 or .keras file, got: {reason}, not a file; check"):
            keras_vgg16(tmp_path / name)
    with pytest.raises(InputError, match="got: has 1099511627776 bytes, more than 4294967296; check"):
        keras_vgg16(tmp_path / "huge.h5")
