"""The authors' detectors: .caffemodel -> workdir -> detections, against plain float64 numpy on its arrays."""

import jax
import numpy as np
import pytest

from configs import fast_voc, faster_voc
from jaxdet import convert
from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.load import restore
from jaxdet.training.restore import find_checkpoint
from jaxdet.weights.caffe import caffe_detector
from jaxdet.weights.caffe_file import read_caffemodel
from jaxdet.weights.pretrained import load_pretrained
from tests.golden.files import one_image_batch
from tests.nets import plain
from tests.oracle import roi, rpn
from tests.oracle.boxes import decode_and_clip, greedy_nms
from tests.weights import caffe_model

CLASSES = ("cat", "dog", "bird")
SIZE, BUCKET = (171, 215), (176, 240)
MEAN_BGR = (102.9801, 115.9465, 122.7717)
PROPOSALS = {"pre_nms_top_n": 200, "post_nms_top_n": 40, "nms_iou": 0.7}
MIN_SIZE, THRESHOLD, NMS_IOU = 16.0, 0.05, 0.3
GIVEN_BOXES = np.float32([[10, 12, 90, 100], [60, 40, 200, 160], [100, 5, 140, 170], [3, 90, 210, 168]])


def plain_detections(arrays, backbone, image, proposals=None):
    """Return rows (x1, y1, x2, y2, score, label)."""
    raw = {name: tuple(np.float64(x) for x in pair) for name, pair in arrays.items()}

    # Convolve the image: BGR minus the mean, channels first.
    x = (image[..., ::-1] - np.array(MEAN_BGR)).transpose(2, 0, 1)
    features = getattr(plain, backbone)(x, raw.__getitem__)

    # Propose regions.
    if proposals is None:
        name = "rpn_conv/3x3" if backbone == "vgg16" else "rpn_conv1"
        hidden = plain.conv_relu(features, *raw[name], padding=1)
        rows, columns = hidden.shape[1:]
        scores = np.einsum("oc,chw->ohw", raw["rpn_cls_score"][0][..., 0, 0], hidden)
        scores += raw["rpn_cls_score"][1][:, None, None]
        deltas = np.einsum("oc,chw->ohw", raw["rpn_bbox_pred"][0][..., 0, 0], hidden)
        deltas += raw["rpn_bbox_pred"][1][:, None, None]
        logits = np.stack([scores[:9], scores[9:]]).transpose(2, 3, 1, 0).reshape(-1, 2)  # background, object
        deltas = deltas.reshape(9, 4, rows, columns).transpose(2, 3, 0, 1).reshape(-1, 4)
        anchors = rpn.anchors_of(rows, columns, (8, 16, 32))
        proposals = rpn.proposals(logits, deltas, anchors, SIZE, min_size=MIN_SIZE, **PROPOSALS)

    # Classify them: fc6 reads channel, row, column.
    bins = 7 if backbone == "vgg16" else 6
    pooled, _ = roi.roi_max_pool(features.transpose(1, 2, 0), proposals, bins)
    x = pooled.transpose(0, 3, 1, 2).reshape(len(proposals), -1)
    for name in ("fc6", "fc7"):
        x = np.maximum(x @ raw[name][0].T + raw[name][1], 0)
        x = x / 2 if backbone == "zf" else x  # its dropout scales at test time
    logits = x @ raw["cls_score"][0].T + raw["cls_score"][1]
    scores = np.exp(logits - logits.max(1, keepdims=True))
    scores /= scores.sum(1, keepdims=True)
    deltas = (x @ raw["bbox_pred"][0].T + raw["bbox_pred"][1]).reshape(len(x), -1, 4)

    # Suppress within each class.
    detections = []
    for label in range(1, scores.shape[1]):
        boxes = np.array([decode_and_clip(d, p, SIZE) for d, p in zip(deltas[:, label], proposals, strict=True)])
        order = np.argsort(-scores[:, label], kind="stable")
        order = order[scores[order, label] > THRESHOLD]
        selected = order[greedy_nms(boxes[order], NMS_IOU)]
        detections += [(*boxes[i], scores[i, label], label) for i in selected]
    return np.array(detections)


def converted(system, arrays, tmp_path, generation):
    """Return the detector and parameters that evaluate.py would use, after convert.py."""
    file = caffe_model.write(tmp_path / "net.caffemodel", arrays, generation=generation, extra=["relu1", "prob"])
    config = (faster_voc if system == "faster_rcnn" else fast_voc).get_config()
    config.head.detections.score_threshold = THRESHOLD
    if system == "faster_rcnn":
        config.rpn.test_proposals.pre_nms_top_n = PROPOSALS["pre_nms_top_n"]
        config.rpn.test_proposals.post_nms_top_n = PROPOSALS["post_nms_top_n"]
    convert.convert(config, str(file), str(tmp_path / "run"), CLASSES)
    stored, class_names = experiment_json.read(tmp_path / "run")
    return restore(find_checkpoint(tmp_path / "run", "best"), parse(stored), class_names)


@pytest.mark.parametrize(
    ("system", "backbone", "generation"),
    [
        ("faster_rcnn", "vgg16", "layer"),
        ("faster_rcnn", "zf", "layer"),
        ("fast_rcnn", "alexnet", "layer"),
        ("fast_rcnn", "vgg_m", "layers"),
        ("fast_rcnn", "vgg16", "layers of layer"),
    ],
)
def test_a_converted_detector_detects_as_its_file_says(system, backbone, generation, tmp_path):
    arrays = caffe_model.detector(backbone, system)
    detector, params = converted(system, arrays, tmp_path, generation)
    image = np.random.default_rng(3).integers(0, 256, (*SIZE, 3), np.uint8)
    proposals = GIVEN_BOXES if system == "fast_rcnn" else np.zeros((0, 4), np.float32)
    canvas = np.full((*BUCKET, 3), 9, np.uint8)
    canvas[: SIZE[0], : SIZE[1]] = image
    batch = one_image_batch(canvas, size=SIZE, proposals=proposals)
    detections = jax.jit(detector.predict)(params, batch)
    given = proposals if system == "fast_rcnn" else None
    want = plain_detections(arrays, backbone, image, given)
    assert len(want) > 3
    valid = np.asarray(detections.valid[0])
    got = np.column_stack([detections.boxes[0], detections.scores[0], detections.labels[0]])[valid]
    assert len(got) == len(want)
    want = want[np.lexsort((want[:, 4], want[:, 5]))]
    got = got[np.lexsort((got[:, 4], got[:, 5]))]
    np.testing.assert_array_equal(got[:, 5], want[:, 5])
    np.testing.assert_allclose(got[:, 4], want[:, 4], atol=1e-5)
    np.testing.assert_allclose(got[:, :4], want[:, :4], atol=1e-2)


def test_a_net_of_another_kind_is_refused_by_its_layers(tmp_path):
    layer = (np.ones((4, 3, 3, 3), np.float32), np.zeros(4, np.float32))
    file = caffe_model.write(tmp_path / "net.caffemodel", {"inception_3a": layer, "loss3": layer})
    with pytest.raises(InputError, match="net.caffemodel: the layers must be .* got inception_3a, loss3"):
        convert.convert(faster_voc.get_config(), str(file), str(tmp_path / "run"), None)
    arrays = caffe_model.detector("zf", "faster_rcnn")
    del arrays["fc7"]
    with pytest.raises(InputError, match="missing fc7.bias, fc7.weight"):
        caffe_detector(read_caffemodel(caffe_model.write(tmp_path / "net.caffemodel", arrays)))


def test_a_config_of_another_system_is_refused(tmp_path):
    file = caffe_model.write(tmp_path / "net.caffemodel", caffe_model.detector("alexnet", "fast_rcnn"))
    with pytest.raises(InputError, match="--config must be of fast_rcnn in one stage, .* got faster_voc; .*=fast_voc"):
        convert.convert(faster_voc.get_config(), str(file), str(tmp_path / "run"), CLASSES)


@pytest.mark.parametrize(("backbone", "first"), [("vgg16", "conv1_1"), ("zf", "conv1"), ("alexnet", "conv1")])
def test_a_classifier_of_caffe_starts_a_training(backbone, first, tmp_path):
    arrays = caffe_model.detector(backbone, "rcnn")
    arrays["fc8"] = arrays.pop("fc8_pascal")
    file = caffe_model.write(tmp_path / "net.caffemodel", arrays)
    params = load_pretrained("caffe", file=file)
    np.testing.assert_array_equal(params[first]["kernel"], arrays[first][0].transpose(2, 3, 1, 0))
    assert {"fc6", "fc7"} <= set(params) and "fc8" not in params
