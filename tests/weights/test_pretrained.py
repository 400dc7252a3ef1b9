"""ImageNet's VGG16 of three libraries: activations equal to theirs, and the table of the published files.

tests/golden/weights_*: narrow nets in the files' own layout, and conv5_3 and fc7 of one image, by the real torch,
torchvision and Keras (make_weights.py). The Caffe layout pools with ceil: 210 x 200 pixels give 14 x 13 cells.
"""

import dataclasses
import hashlib
import os
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.nets.region_net import region_net
from jaxdet.weights import pretrained
from jaxdet.weights.pretrained import PRETRAINED, load_pretrained, origin, pretrained_size
from tests.golden.make_weights import image
from tests.io.test_download import serving

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FILES = {
    "torchvision": "weights_torchvision.pth",
    "caffe": "weights_caffe.pth",
    "keras": "weights_keras_published.h5",
}


def expected(name):
    with np.load(GOLDEN / ("weights_keras.npz" if name == "keras" else "weights_torch.npz")) as file:
        prefix = "" if name == "keras" else f"{name}/"
        return file[f"{prefix}conv5_3"], file[f"{prefix}fc7"]


@pytest.mark.parametrize("name", FILES)
def test_conv5_3_and_fc7_equal_those_of_the_library(name):
    params = load_pretrained(name, file=GOLDEN / FILES[name])
    net = region_net(
        backbone="vgg16", num_classes=1, num_anchors=1, width=1 / 32, head_features=8, **origin(name, "vgg16")
    )
    height, width = (210, 200) if name == "caffe" else (224, 224)
    bucket = np.zeros((1, 224, 208 if name == "caffe" else 224, 3), np.uint8)
    bucket[0, :height, :width] = image(height, width)

    @jax.jit
    def features(params, bucket):
        return net.features(params, net.preprocess(bucket), jnp.asarray([[height, width]], jnp.float32))

    conv5_3, size = jax.device_get(features(params, bucket))
    expected_conv5_3, expected_fc7 = expected(name)
    np.testing.assert_array_equal(size[0], expected_conv5_3.shape[:2])
    conv5_3 = conv5_3[0, : size[0, 0], : size[0, 1]]
    np.testing.assert_allclose(conv5_3, expected_conv5_3, rtol=1e-4, atol=1e-5 * expected_conv5_3.max())
    cells = np.zeros((14, 14, 16), np.float32)
    cells[: size[0, 0], : size[0, 1]] = conv5_3
    hidden = cells.reshape(7, 2, 7, 2, 16).max((1, 3)).reshape(-1)  # pooling before fc6; RoI pooling replaces it
    for layer in ("fc6", "fc7"):
        hidden = np.maximum(hidden @ params[layer]["kernel"] + params[layer]["bias"], 0)
    np.testing.assert_allclose(hidden, expected_fc7, rtol=1e-4, atol=1e-5 * expected_fc7.max())


def test_the_parameters_fit_the_papers_net():
    fresh = jax.eval_shape(region_net(backbone="vgg16", num_classes=20, num_anchors=9).init, jax.random.key(0))
    narrow = load_pretrained("torchvision", file=GOLDEN / FILES["torchvision"])
    assert set(narrow) == set(fresh) - {"rpn_conv", "rpn_cls_score", "rpn_bbox_pred", "cls_score", "bbox_pred"}
    for name, layer in narrow.items():
        assert {leaf: x.ndim for leaf, x in layer.items()} == {leaf: x.ndim for leaf, x in fresh[name].items()}
        assert all(x.dtype == np.float32 for x in layer.values())


def test_origin_names_preprocessing_pool_rounding_and_dropout_scaling():
    assert list(origin("torchvision", "vgg16").values()) == ["torchvision", "floor", "train"]
    assert list(origin("keras", "vgg16").values()) == ["keras", "floor", "train"]
    expected = {"preprocessing": "caffe", "pool_rounding": "ceil", "dropout_scaling": "train"}
    assert origin("caffe", "vgg16") == origin("caffe", "alexnet") == expected
    assert origin("caffe", "zf") == expected | {"dropout_scaling": "test"}


def test_an_unknown_name_is_refused_with_the_nearest():
    for function in (lambda name: origin(name, "vgg16"), load_pretrained):
        with pytest.raises(InputError, match="must be one of .*, got 'torchvison'; did you mean 'torchvision'"):
            function("torchvison")


def test_the_error_names_a_file_of_another_network():
    for name, file in (("caffe", "weights_tensors.pth"), ("torchvision", "weights_keras_notop.h5")):
        with pytest.raises(InputError, match=file):
            load_pretrained(name, file=GOLDEN / file)


def test_the_size_of_published_weights_is_known_without_a_download():
    sizes = {name: pretrained_size(name, backbone=entry.backbone) for name, entry in PRETRAINED.items()}
    assert sizes["keras_notop"] == sizes["resnet50"] == {"width": 1.0}
    assert sizes["keras"] == sizes["torchvision"] == sizes["caffe"] == {"width": 1.0, "head_features": 4096}
    assert sizes["coco"] == {"width": 1.0, "head_features": 1024}
    assert pretrained_size("keras", file=GOLDEN / FILES["keras"], backbone="vgg16") == {
        "width": 1 / 32,
        "head_features": 8,
    }


def test_a_missing_h5py_is_named_before_the_download(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)  # makes importing it fail
    with pytest.raises(InputError, match=r'need h5py, got none installed; pip install "jaxdet\[keras\]"'):
        pretrained_size("keras_notop", backbone="vgg16")


@pytest.fixture
def tiny(monkeypatch):
    """Replace torchvision's entry by one of a small file; return the bytes of the file."""
    source = GOLDEN / FILES["torchvision"]
    digest = f"md5:{hashlib.md5(source.read_bytes()).hexdigest()}"
    entry = dataclasses.replace(PRETRAINED["torchvision"], url="http://127.0.0.1:9/vgg16.pth", digest=digest)
    monkeypatch.setitem(pretrained.PRETRAINED, "torchvision", entry)
    return source.read_bytes()


def test_a_download_from_another_address_is_cached(tiny, tmp_path):
    with serving(content=tiny) as (mirror, asked):
        params = load_pretrained("torchvision", file=f"{mirror}/copies/other_name.pth", cache=tmp_path / "cache")
    assert asked == [("/copies/other_name.pth", None)]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["vgg16.pth"]
    again = load_pretrained("torchvision", cache=tmp_path / "cache")  # from the cache: no server runs
    jax.tree.map(np.testing.assert_array_equal, params, again)


def test_a_download_with_another_hash_is_refused_and_removed(tiny, tmp_path):
    damaged = tiny[:-1] + b"?"
    with (
        serving(content=damaged) as (mirror, _),
        pytest.raises(InputError, match="vgg16.pth cannot be downloaded .*the file does not have md5:") as error,
    ):
        load_pretrained("torchvision", file=f"{mirror}/vgg16.pth", cache=tmp_path)
    assert "or name it, or another address of it, in training.pretrained_file" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_without_a_connection_the_error_says_which_file_to_put_where(tmp_path, monkeypatch):
    entry = dataclasses.replace(PRETRAINED["caffe"], url="http://127.0.0.1:9/vgg16-00b39a1b.pth")
    monkeypatch.setitem(pretrained.PRETRAINED, "caffe", entry)
    path = tmp_path / "cache" / "vgg16-00b39a1b.pth"
    with pytest.raises(InputError, match="vgg16-00b39a1b.pth cannot be downloaded .*127.0.0.1:9.*refused") as error:
        load_pretrained("caffe", cache=tmp_path / "cache")
    assert f"(about 553 MB, sha256:00b39a1b) by other means and put it at {path}, or name it, or another" in str(
        error.value
    )
    assert list(path.parent.iterdir()) == []
    os.mkfifo(path)
    with pytest.raises(InputError, match="must have sha256:00b39a1b, got another file; delete it"):
        load_pretrained("caffe", cache=tmp_path / "cache")
    path.unlink()
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="must have sha256:00b39a1b, got another file; delete it"):
        load_pretrained("caffe", cache=tmp_path / "cache")
    with pytest.raises(InputError, match="cannot be written"):
        load_pretrained("caffe", cache=path / "below")
