"""load_detector: from a workdir to a function from images to detections."""

import copy
import dataclasses
import json

import numpy as np
import pytest

import jaxdet
from configs import fast_devkit, rcnn_devkit
from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.data import image_file
from jaxdet.load import LoadedDetector, choose_checkpoint
from jaxdet.training import manifest
from jaxdet.training.restore import find_checkpoint
from tests.scripts import ROOT

pytestmark = pytest.mark.usefixtures("programs")

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
TALL = np.random.default_rng(1).integers(0, 256, (90, 60, 3), np.uint8)


def load(workdir):
    """Load the tiny detector with two buckets, 64x96 and 96x64, and batches of two."""
    config, class_names = experiment_json.read(workdir)
    config["input"]["short_side"] = 64
    return LoadedDetector(jaxdet.parse_config(config), class_names, find_checkpoint(workdir, "best"), 2)


@pytest.fixture(scope="module")
def detector(trained):
    return load(trained[0])


def assert_same(detections, others):
    np.testing.assert_allclose(detections.boxes, others.boxes, atol=1e-3)
    np.testing.assert_allclose(detections.scores, others.scores, atol=1e-5)
    np.testing.assert_array_equal(detections.labels, others.labels)
    assert detections.class_names == others.class_names


def test_an_image_has_boxes_scores_labels_and_names(detector):
    detections = detector(IMAGE, threshold=0.05)
    assert isinstance(detections, jaxdet.types.ImageDetections)
    assert len(detections) > 0 and detections.boxes.shape == (len(detections), 4)
    assert (detections.boxes >= 0).all() and (detections.boxes <= [90, 60, 90, 60]).all()
    assert (np.diff(detections.scores) <= 0).all() and detections.scores.min() >= 0.05
    assert detections.class_names == tuple(detector.class_names[label - 1] for label in detections.labels)


def test_compilation_is_said_once_per_size(detector, caplog):
    detector._compiled.clear()
    with caplog.at_level("INFO"):
        detector([IMAGE, TALL, IMAGE])
    assert caplog.messages == ["compiling for images of 64x96", "compiling for images of 96x64"]


def test_images_of_a_list_are_detected_as_each_alone(detector):
    images = [IMAGE, TALL, IMAGE[:, ::-1], IMAGE[:50], TALL]
    listed = detector(images, threshold=0.05)
    assert len(listed) == 5
    for image, detections in zip(images, listed, strict=True):
        assert_same(detections, detector(image, threshold=0.05))
    assert detector([]) == []


def test_each_bucket_has_one_shape_to_compile(detector, monkeypatch):
    shapes = []
    predict = detector._predict
    monkeypatch.setattr(
        detector, "_predict", lambda params, batch: (shapes.append(batch.image.shape), predict(params, batch))[1]
    )
    for images in (IMAGE, TALL, [IMAGE, TALL, IMAGE, IMAGE]):
        detector(images)
    assert len(shapes) == 5 and set(shapes) == {(2, 64, 96, 3), (2, 96, 64, 3)}


def test_the_default_threshold_is_one_half(detector):
    assert detector.default_threshold == 0.5
    assert_same(detector(IMAGE), detector(IMAGE, threshold=0.5))


@pytest.mark.parametrize("size", [(3, 900), (900, 3)])
def test_detections_lie_inside_a_strip_whose_resized_side_is_rounded(detector, size):
    height, width = size
    image = np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8)
    detections = detector(image, threshold=0.0)
    assert len(detections) > 0
    assert (detections.boxes >= 0).all() and (detections.boxes <= [width, height, width, height]).all()


@pytest.mark.parametrize("threshold", [50, -0.1, float("nan"), float("inf")])
def test_a_threshold_that_is_no_probability_is_refused(detector, threshold):
    with pytest.raises(jaxdet.InputError, match=r"threshold must be a probability in \[0, 1\], got"):
        detector([], threshold)


@pytest.mark.parametrize("config", [rcnn_devkit, fast_devkit])
def test_a_threshold_of_svms_may_be_any_finite_margin(detector, config):
    with_svms = copy.copy(detector)
    with_svms.experiment = jaxdet.parse_config(config.get_config().to_dict())
    head = dataclasses.replace(with_svms.experiment.head, scoring="svm")
    with_svms.experiment = dataclasses.replace(with_svms.experiment, head=head)
    assert with_svms.check_threshold(-50.0) == -50.0
    with pytest.raises(jaxdet.InputError, match="threshold must be a finite margin of the SVMs, got nan; 0 is usual"):
        with_svms.check_threshold(float("nan"))


def test_the_last_checkpoint_can_be_loaded_by_name_or_path(trained):
    last = jaxdet.load_detector(trained[0], "last")
    folder = max((trained[0] / "checkpoints").iterdir(), key=lambda path: int(path.name))
    assert_same(jaxdet.load_detector(folder)(IMAGE, threshold=0.05), last(IMAGE, threshold=0.05))


def test_a_loaded_detector_detects_what_predict_py_detects(scripts, trained, tmp_path):
    photo = next((ROOT / "docs").glob("*.jpg"))
    flags = f"--workdir={trained[0]}", f"--output={tmp_path}", "--threshold=0.05"
    scripts.run("predict.py", *flags, str(photo))
    (listed,) = json.loads((tmp_path / "detections.json").read_text()).values()
    image = image_file.decode(photo, name=photo.name)
    detections = jaxdet.load_detector(trained[0])(image, threshold=0.05)
    assert [row["class"] for row in listed] == list(detections.class_names)
    np.testing.assert_allclose([row["box"] for row in listed], detections.boxes, atol=0.02)


@pytest.mark.parametrize(
    "image", [IMAGE.astype(np.float32), IMAGE[..., 0], np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_that_are_no_images_are_refused(detector, image):
    with pytest.raises(jaxdet.InputError, match=r"detector: an image must be u8\[H,W,3\] RGB, got .*; convert it"):
        detector([image])


def test_what_is_no_image_and_no_list_is_refused(detector):
    with pytest.raises(jaxdet.InputError, match=r"or a list of such, got NoneType; check that the image was read"):
        detector(None)


def test_wrong_arguments_are_refused(trained, tmp_path):
    with pytest.raises(jaxdet.InputError, match="there is no folder or file .*nowhere; give one that train.py or exp"):
        jaxdet.load_detector(tmp_path / "nowhere")
    with pytest.raises(
        jaxdet.InputError, match=r"checkpoint must be best, last or a saved step \(.*\d\), got 'newest'"
    ):
        jaxdet.load_detector(trained[0], "newest")
    with pytest.raises(jaxdet.InputError, match="batch_size must be at least 1, got 0"):
        jaxdet.load_detector(trained[0], batch_size=0)


def test_public_names_exist():
    for name in jaxdet.__all__:
        assert getattr(jaxdet, name) is not None
    assert callable(jaxdet.ops.nms)
    with pytest.raises(AttributeError, match="module 'jaxdet' has no attribute 'nothing'"):
        jaxdet.nothing  # noqa: B018


def test_a_checkpoint_is_chosen_by_name_or_step(tmp_path):
    for step in (4, 12):
        (tmp_path / "checkpoints" / str(step)).mkdir(parents=True)
        manifest.write(tmp_path / "checkpoints" / str(step), {"val_map": 1 / step})
    chosen = {checkpoint: choose_checkpoint(tmp_path, checkpoint).name for checkpoint in ("best", "last", "4", 12)}
    assert chosen == {"best": "4", "last": "12", "4": "4", 12: "12"}
    with pytest.raises(InputError, match=r"step must be one of \[4, 12\] saved in .*, 'best' or 'last'; got 7"):
        choose_checkpoint(tmp_path, "7")
    with pytest.raises(InputError, match=r"checkpoint must be best, last or a saved step \(4, 12\), got 'newest'"):
        choose_checkpoint(tmp_path, "newest")
