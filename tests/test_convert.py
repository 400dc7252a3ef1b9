"""Conversion of a .pth file of another project to a workdir.

tests/golden/sf_detector_*.npz hold the tensors of such a file; weights_detector.pth is one (make_weights.py).
"""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from configs import faster_devkit, simple_faster_rcnn
from jaxdet import convert
from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.config.resolve import resolve_config
from jaxdet.data.datasets import shape_drawing
from jaxdet.data.datasets.voc import CLASS_NAMES
from jaxdet.training.restore import restore_params
from jaxdet.weights import detectors, torch
from tests.golden.files import GOLDEN, load
from tests.golden.make_weights import image
from tests.scripts import TINY_SHAPES

AS_TORCHVISION = (
    "--config.input.long_side=128",
    "--config.anchors.convention=torchvision",
    "--config.anchors.scales=(2.0,4.0)",
    "--config.head.roi_pooling=align",
    "--config.rpn.min_size=0.001",
    "--config.head.detections.nms_iou=0.3",
)


@pytest.fixture(scope="module")
def tensors():
    return load("sf_detector_backbone", "sf_detector_heads")


@pytest.fixture
def holding(monkeypatch):
    """Return the function that sets the content of the next file read."""
    return lambda contents: monkeypatch.setattr(detectors, "read_weights", lambda path: contents)


def test_a_checkpoint_of_simple_faster_rcnn_becomes_a_workdir(holding, tensors, tmp_path):
    holding({"model": tensors, "config": {"caffe_pretrain": False, "min_size": 600}, "other_info": None})
    convert.convert(simple_faster_rcnn.get_config(), "voc.pth", str(tmp_path / "run"), None)
    config, class_names = experiment_json.read(tmp_path / "run")
    net = config["net"]
    assert class_names == CLASS_NAMES
    assert (net["width"], net["head_features"]) == (1 / 8, 64)
    assert (net["preprocessing"], net["pool_rounding"]) == ("torchvision", "floor")
    assert config["training"]["pretrained"] == ""
    assert config["head"]["inclusive_boxes"]
    restored = restore_params(tmp_path / "run", "best")
    jax.tree.map(np.testing.assert_array_equal, restored, dict(torch.simple_faster_rcnn(tensors)))

    own = faster_devkit.get_config()
    own.training.init_from = str(tmp_path / "run")
    resolved = resolve_config(parse(own.to_dict()), tmp_path / "own")
    assert (resolved.net.preprocessing, resolved.net.pool_rounding) == ("torchvision", "floor")

    with pytest.raises(InputError, match="--workdir must be new, got .* with checkpoints"):
        convert.convert(simple_faster_rcnn.get_config(), "voc.pth", str(tmp_path / "run"), None)


def test_files_and_flags_that_cannot_be_converted_are_refused(holding, tensors, tmp_path):
    def refused(message, contents, classes=None, file="voc.pth", folder=str(tmp_path / "run")):
        holding(contents)
        with pytest.raises(InputError, match=message):
            convert.convert(simple_faster_rcnn.get_config(), file, folder, classes)
        assert not (tmp_path / "run").exists()

    caffe = {"config": {"caffe_pretrain": True}}
    refused("--file and --workdir must both be given", {}, file=None)
    refused("--file and --workdir must both be given", {}, folder=None)
    refused("--classes must name the 20 classes of voc.pth, got 2", {"model": tensors} | caffe, ["cat", "dog"])
    refused("net.preprocessing must be given, for the file does not say", {"model": tensors, "config": None})
    refused("voc.pth: the weights must be of VGG16, .* got a ResNet", {"layer1.0.conv1.weight": np.zeros(1)})
    refused("net.preprocessing must be given, for the file does not say", {"model": tensors})
    backbone = {f"features.{i}.weight": np.zeros((1, 1, 3, 3), np.float32) for _, i in torch.VGG16_LAYERS.values()}
    refused("--file must hold a whole detector, got voc.pth with vgg16; see training.pretrained_file", backbone)


def test_a_flag_that_contradicts_the_file_is_refused(holding, tensors, tmp_path):
    holding({"model": tensors, "config": {"caffe_pretrain": True}})
    config = simple_faster_rcnn.get_config()
    config.net.preprocessing = "torchvision"
    with pytest.raises(InputError, match="net.preprocessing must be 'caffe_rgb_mean', as the file has it, got 'torchv"):
        convert.convert(config, "voc.pth", str(tmp_path), None)
    config.net.preprocessing = ""
    convert.convert(config, "voc.pth", str(tmp_path), None)
    assert experiment_json.read(tmp_path)[0]["net"]["preprocessing"] == "caffe_rgb_mean"


def test_a_converted_torchvision_detector_detects_as_torchvision_does(scripts, tmp_path):
    run, photo, output = tmp_path / "run", tmp_path / "photo.png", tmp_path / "detections"
    printed = scripts.run(
        "convert.py",
        "--config=configs/faster_shapes.py",
        f"--file={GOLDEN / 'weights_detector.pth'}",
        f"--workdir={run}",
        f"--classes={','.join(shape_drawing.CLASS_NAMES)}",
        f"--config.dataset.data_dir={scripts.folder / 'data'}",
        *TINY_SHAPES,
        *AS_TORCHVISION,
    )
    config = experiment_json.read(run)[0]
    net = config["net"]
    assert (net["preprocessing"], net["pool_rounding"], net["width"]) == ("torchvision", "floor", 1 / 32)
    assert not config["head"]["inclusive_boxes"]
    assert (
        f"next: python -m jaxdet evaluate --workdir={run}; python -m jaxdet predict --workdir={run} photo.jpg"
        in printed
    )

    Image.fromarray(image(96, 128)).save(photo)
    scripts.run("predict.py", f"--workdir={run}", str(photo), f"--output={output}", "--threshold=0.05")
    (detections,) = json.loads((output / "detections.json").read_text()).values()
    with np.load(GOLDEN / "weights_detector.npz") as golden:
        assert [detection["class"] for detection in detections] == [
            shape_drawing.CLASS_NAMES[k - 1] for k in golden["labels"]
        ]
        np.testing.assert_allclose([detection["score"] for detection in detections], golden["scores"], atol=1e-4)
        np.testing.assert_allclose([detection["box"] for detection in detections], golden["boxes"], atol=0.02)

    scripts.run("evaluate.py", f"--workdir={run}")
    assert json.loads((run / "evaluation/test/metrics.json").read_text())["classes"].keys() == set(
        shape_drawing.CLASS_NAMES
    )
