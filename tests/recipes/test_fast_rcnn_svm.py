"""Fast R-CNN with SVMs through the scripts: its stages, detection by margins or by the softmax of the same net."""

import json
import re

import jax
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.inputs import image_batch, open_part
from jaxdet.load import restore
from jaxdet.training.restore import restore_params
from jaxdet.training.state import flatten
from tests.scripts import TINY_PHOTOS, TINY_SEARCH

FAST_SVM = (
    "--config=configs/fast_devkit.py",
    *TINY_PHOTOS,
    *TINY_SEARCH,
    "--config.head.scoring=svm",
    "--config.head.detections.score_threshold=-1e6",
    "--config.training.batch_size=2",
    "--config.training.steps=2",
    "--config.training.eval_every=0",
)


@pytest.fixture(scope="module")
def finished(scripts, tmp_path_factory):
    """Return the workdir and what train.py printed."""
    workdir = tmp_path_factory.mktemp("fast_svm")
    return workdir, scripts.run("train.py", f"--workdir={workdir}", *FAST_SVM, *scripts.photo_flags())


def test_svms_join_the_parameters_of_the_trained_net(finished):
    workdir, printed = finished
    params, trained = restore_params(workdir), restore_params(workdir / "stages/1_fast_rcnn")
    assert params.keys() - trained.keys() == {"svm"}
    for path, leaf in flatten(trained).items():
        np.testing.assert_array_equal(flatten(params)[path], leaf)
    assert params["svm"]["kernel"].shape == (16, 3)
    assert np.abs(params["svm"]["kernel"][:, [0, 2]]).max(axis=0).all()
    assert "ghost has no SVM and will not be detected: 0 positives" in printed
    assert "fast_rcnn 2/2" in printed  # the other stages take less than the 5 seconds from which a log has a line


def test_training_again_reads_the_finished_detector(scripts, finished):
    printed = scripts.run("train.py", f"--workdir={finished[0]}", *FAST_SVM, *scripts.photo_flags())
    assert "2_features" not in printed and "done; next" in printed


def test_detections_are_scored_by_the_margins_of_the_stored_features(finished):
    """NMS leaves the best proposal of a class, so the best score is the largest margin of the image's rows."""
    workdir = finished[0]
    config, class_names = experiment_json.read(workdir)
    experiment = parse(config)
    detector, params = restore(workdir / "checkpoints/2", experiment, class_names)
    dataset = open_part(experiment, "train").dataset
    detections = detector.predict(params, image_batch(experiment, dataset[1].image))
    scores, labels = (np.asarray(leaf)[np.asarray(detections.valid)] for leaf in (detections.scores, detections.labels))
    assert set(labels) == {1, 3}  # no ghosts
    start, end = np.fromfile(workdir / "stages/2_features/images.bin", np.int64)[:2]
    fc7 = np.fromfile(workdir / "stages/2_features/fc7.f32", np.float32).reshape(-1, 16)[start:end]
    svms = {name: np.asarray(leaf) for name, leaf in params["svm"].items()}
    margins = (fc7 @ svms["kernel"] + svms["bias"])[len(dataset.annotations(1).boxes) :]
    for label in (1, 3):
        np.testing.assert_allclose(scores[labels == label].max(), margins[:, label - 1].max(), rtol=1e-4)
    del params["svm"]
    with pytest.raises(InputError, match="params must hold 'svm'"):
        jax.eval_shape(detector.predict, params, image_batch(experiment, np.zeros((64, 64, 3), np.uint8)))


def test_evaluation_can_score_by_the_softmax_of_the_same_net(scripts, finished):
    results = {}
    for scoring in ("svm", "softmax"):
        printed = scripts.run("evaluate.py", f"--workdir={finished[0]}", f"--config.head.scoring={scoring}")
        rows = (finished[0] / "evaluation/test/comp4_det_test_bar.txt").read_text().splitlines()
        results[scoring] = [float(row.split()[1]) for row in rows]
    assert "config.head.scoring is 'svm' there and 'softmax' here" in printed
    assert min(results["softmax"]) >= 0 > min(results["svm"])
    metrics = json.loads((finished[0] / "evaluation/test/metrics.json").read_text())
    assert metrics["classes"]["bar"]["detections"] == len(results["softmax"])
    assert re.search("^Proposals: ", printed, re.MULTILINE)
