"""R-CNN through the scripts: its stages, a kill while features are written, SVMs against the softmax, a photo."""

import json
import signal

import numpy as np
import pytest

from jaxdet import experiment
from jaxdet import workdir as workdirs
from jaxdet.training.checkpoints import restore_params
from jaxdet.training.state import flatten
from tests.scripts import TINY_PHOTOS, TINY_SEARCH

RCNN = (
    "--config=configs/rcnn_devkit.py",
    *TINY_PHOTOS,
    *TINY_SEARCH,
    "--config.net.backbone=alexnet",
    "--config.model.roi_targets.batch_size=4",
    "--config.model.chunk=5",
    "--config.training.batch_size=2",
    "--config.training.steps=2",
)


@pytest.fixture(scope="module")
def finished(scripts, tmp_path_factory):
    """The workdir of a run without interruption and what was printed."""
    workdir = tmp_path_factory.mktemp("rcnn")
    code, printed = scripts.run("train.py", f"--workdir={workdir}", *RCNN, *scripts.photos())
    assert code == 0, printed
    return workdir, printed


def detections(workdir):
    metrics = json.loads((workdir / "evaluation/test/metrics.json").read_text())
    return {name: row["detections"] for name, row in metrics["classes"].items()}


def test_svms_and_regressors_end_beside_the_fine_tuned_net(finished):
    workdir, printed = finished
    params = restore_params(workdir)
    fine_tuned = restore_params(workdir / "stages/1_fine_tuning")
    assert params.keys() - fine_tuned.keys() == {"svm", "bbox_ridge"}
    for path, leaf in flatten(fine_tuned).items():
        np.testing.assert_array_equal(flatten(params)[path], leaf)
    assert params["svm"]["kernel"].shape == (16, 3)
    assert params["bbox_ridge"]["kernel"].shape == (3, 6 * 6 * 16, 4)
    assert np.abs(params["svm"]["kernel"][:, [0, 2]]).max(axis=0).all()
    assert "ghost has no SVM and will not be detected: 0 positives" in printed  # only test has ghosts
    assert "ghost has no box regressor" in printed


def test_killed_while_features_are_written_it_goes_on_and_ends_the_same(scripts, finished, tmp_path):
    command = "train.py", f"--workdir={tmp_path}", *RCNN, *scripts.photos()
    stored = tmp_path / "stages/2_features/images.bin"
    run = scripts.start(*command)
    run.wait_until(lambda: stored.exists() and stored.stat().st_size)
    run.kill(signal.SIGKILL)
    assert run.end()[0] == -signal.SIGKILL
    assert not (tmp_path / "checkpoints").exists()
    code, printed = scripts.run(*command)
    assert code == 0, printed
    assert "1_fine_tuning: finished before, at step 2" in printed
    got, expected = (flatten(restore_params(workdir)) for workdir in (tmp_path, finished[0]))
    assert got.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_array_equal(got[path], leaf)


def test_a_class_without_svm_is_never_detected(scripts, finished):
    workdir = finished[0]
    code, printed = scripts.run("evaluate.py", f"--workdir={workdir}")
    assert code == 0, printed
    by_svm = detections(workdir)
    assert by_svm["ghost"] == 0 and by_svm["bar"] > 0 and by_svm["square"] > 0
    assert "Proposals: recall_0.5" in printed


def test_the_softmax_and_plain_boxes_take_the_place_of_what_was_fitted(finished):
    config, class_names = workdirs.read(finished[0])
    config.model.scoring, config.linear.bbox_regression = "softmax", False
    _, params = experiment._restore(finished[0], "last", config, class_names)
    assert "bbox_ridge" not in params and "cls_score" in params


def test_a_photo_is_searched_and_scored_by_margins(scripts, finished, tmp_path):
    photo = scripts.folder / "photos/JPEGImages/train0.png"
    code, printed = scripts.run("predict.py", f"--workdir={finished[0]}", str(photo), f"--output={tmp_path}")
    assert code == 0, printed
    (found,) = json.loads((tmp_path / "detections.json").read_text()).values()
    assert found and all(thing["class"] != "ghost" and thing["score"] >= 0 for thing in found)  # 0 is an SVM's edge
