"""R-CNN through the scripts: its stages, a kill while features are written, SVMs or softmax, a photo."""

import contextlib
import dataclasses
import json
import shutil
import signal
import types

import jax
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.inputs import open_part
from jaxdet.load import restore
from jaxdet.models.rcnn import rcnn
from jaxdet.recipes import rcnn as recipe
from jaxdet.recipes import svm_stages
from jaxdet.training.restore import restore_params
from jaxdet.training.state import flatten
from tests.scripts import TINY_PHOTOS, TINY_SEARCH, assert_same_params

RCNN = (
    "--config=configs/rcnn_devkit.py",
    *TINY_PHOTOS,
    *TINY_SEARCH,
    "--config.net.backbone=alexnet",
    "--config.head.roi_targets.batch_size=4",
    "--config.head.chunk=5",
    "--config.training.batch_size=2",
    "--config.training.steps=2",
)


@pytest.fixture(scope="module")
def finished(scripts, tmp_path_factory):
    """Return the workdir of an uninterrupted run and what it printed."""
    workdir = tmp_path_factory.mktemp("rcnn")
    return workdir, scripts.run("train.py", f"--workdir={workdir}", *RCNN, *scripts.photo_flags())


def test_svms_and_regressors_join_the_fine_tuned_parameters(finished):
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
    assert "1_fine_tuning 2/2" in printed  # the other stages take less than the 5 seconds from which a log has a line


def test_a_run_killed_while_features_are_written_ends_the_same(scripts, finished, tmp_path):
    command = "train.py", f"--workdir={tmp_path}", *RCNN, *scripts.photo_flags()
    stored = tmp_path / "stages/2_features/images.bin"
    run = scripts.start(*command)
    run.wait_until(lambda: stored.exists() and stored.stat().st_size)
    run.kill(signal.SIGKILL)
    run.end(code=-signal.SIGKILL)
    assert not (tmp_path / "checkpoints").exists()
    printed = scripts.run(*command)
    assert "1_fine_tuning: finished before, at step 2" in printed
    assert_same_params(tmp_path, finished[0])


def test_a_class_without_svm_is_never_detected(scripts, finished):
    workdir = finished[0]
    printed = scripts.run("evaluate.py", f"--workdir={workdir}")
    metrics = json.loads((workdir / "evaluation/test/metrics.json").read_text())
    ghost, others = metrics["classes"]["ghost"], [metrics["classes"][name] for name in ("bar", "square")]
    assert ghost["detections"] == 0 and all(row["detections"] > 0 for row in others)
    assert ghost["objects"] == 2  # so its average precision is defined: 0, which counts in the mean
    for metric in ("voc07@0.5", "voc10@0.5", "voc10@0.75"):
        assert ghost[metric] == 0
        assert metrics["mAP"][metric] == pytest.approx(sum(row[metric] for row in others) / 3)
    assert "Proposals: recall_0.5" in printed


def test_evaluation_can_change_the_scoring_and_reports_it(scripts, finished):
    changes = "--config.linear.bbox_regression=False", "--config.head.scoring=softmax"
    printed = scripts.run("evaluate.py", f"--workdir={finished[0]}", *changes)
    differences = [
        "config.head.scoring is 'svm' there and 'softmax' here",
        "config.linear.bbox_regression is True there and False here",
    ]
    assert f"differs from training: {'; '.join(differences)}" in printed
    metrics = json.loads((finished[0] / "evaluation/test/metrics.json").read_text())
    assert metrics["not_as_trained"] == differences and metrics["classes"]["bar"]["detections"] > 0


def test_softmax_and_plain_boxes_replace_the_fitted_parts(finished):
    config, class_names = experiment_json.read(finished[0])
    config["head"]["scoring"], config["linear"]["bbox_regression"] = "softmax", False
    _, params = restore(finished[0], parse(config), class_names)
    assert "bbox_ridge" not in params and "cls_score" in params


def test_missing_box_regressors_are_an_error(finished):
    config, class_names = experiment_json.read(finished[0])
    with pytest.raises(InputError, match="it has no box regressors; pass --config.linear.bbox_regression=False"):
        restore(finished[0] / "stages/1_fine_tuning", parse(config), class_names)


@pytest.fixture
def train_again(finished, tmp_path, monkeypatch):
    """Return the function: fine-tuned params -> training again in a copy of the finished stages, without fits."""
    shutil.copytree(finished[0] / "stages", tmp_path / "stages")
    experiment = parse(experiment_json.read(finished[0])[0])
    training = recipe.RcnnTraining(experiment, tmp_path, open_part(experiment, "train"))

    def fit(*_, **__):
        raise AssertionError("fitted again")

    def train(params):
        with monkeypatch.context() as patch:
            patch.setattr(training, "_fine_tune", lambda *_: dict(params))
            patch.setattr(svm_stages, "fit_svms", fit)
            patch.setattr(recipe, "fit_bbox_ridge", fit)
            training.run(None)

    return train


def test_finished_stages_are_not_fitted_again(train_again, finished, tmp_path):
    train_again(restore_params(finished[0] / "stages/1_fine_tuning"))
    assert_same_params(tmp_path, finished[0])


def test_stages_of_another_net_are_refused(train_again, finished, tmp_path):
    params = restore_params(finished[0] / "stages/1_fine_tuning")
    params["fc7"]["bias"] = params["fc7"]["bias"] + np.float32(1e-6)
    for name in ("3_svms", "4_bbox_ridge", "2_features"):
        with pytest.raises(InputError, match=f"{name} is of other data or parameters: params must be '.*; delete it"):
            train_again(params)
        shutil.rmtree(tmp_path / "stages" / name)
    assert not (tmp_path / "checkpoints").exists()


@pytest.fixture
def data_set_experiment(finished):
    """Return the experiment of the finished run with windows sampled from the whole data set."""
    experiment = parse(experiment_json.read(finished[0])[0])
    optim = dataclasses.replace(experiment.optim, name="sgd")  # optax's AdamW promotes dtypes
    return dataclasses.replace(experiment, head=dataclasses.replace(experiment.head, sampling="data_set"), optim=optim)


def test_fine_tuning_on_windows_of_the_whole_data_set(data_set_experiment, tmp_path, caplog):
    split = open_part(data_set_experiment, "train")
    training = recipe.RcnnTraining(data_set_experiment, tmp_path, split)
    caplog.set_level("INFO")
    training._fine_tune(split.with_proposals(), None)
    assert "positive and" in caplog.text and "background windows to sample from" in caplog.text
    metrics = tmp_path / "stages/1_fine_tuning/metrics.jsonl"
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == [1, 2]


def test_a_resumed_run_gets_the_windows_of_its_next_step(data_set_experiment):
    head, split = data_set_experiment.head, open_part(data_set_experiment, "train").with_proposals()
    split = dataclasses.replace(split, windows=head.roi_targets)
    batches = split.train_batches(seed=3, batch_size=2)
    with contextlib.closing(batches(0)) as first, contextlib.closing(batches(1)) as resumed:
        whole, after = [next(first), next(first)], next(resumed)
    for ours, theirs in zip(jax.tree.leaves(after), jax.tree.leaves(whole[1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    (shapes,) = split.train_shapes(seed=3, batch_size=2, steps=4)(0)
    assert jax.tree.structure(whole[0]) == jax.tree.structure(shapes)
    for array, shape in zip(jax.tree.leaves(whole[0]), jax.tree.leaves(shapes), strict=True):
        assert (array.shape, array.dtype) == (shape.shape, shape.dtype)
    assert (whole[0].labels > 0).tolist() == [True] * 2 + [False] * 6  # as many as of two images of four


def test_a_sampling_that_does_not_exist_or_fit_is_an_error(data_set_experiment, tmp_path):
    split = types.SimpleNamespace()  # not used before the check
    head = dataclasses.replace(data_set_experiment.head, sampling="dataset")
    with pytest.raises(InputError, match="head.sampling must be one of per_image, data_set, got 'dataset'"):
        recipe.RcnnTraining(dataclasses.replace(data_set_experiment, head=head), tmp_path, split)
    flipped = dataclasses.replace(data_set_experiment.input, flip=True)
    with pytest.raises(InputError, match="input.flip must be False with head.sampling=data_set"):
        recipe.RcnnTraining(dataclasses.replace(data_set_experiment, input=flipped), tmp_path, split)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"chunk": 0}, "head.chunk must be at least 1, got 0"),
        ({"context": 114}, "head.context must be in 0..113 pixels for this net, got 114"),
        ({"context": -1}, "head.context must be in 0..113 pixels for this net, got -1"),
    ],
)
def test_context_and_chunk_must_be_in_range(options, error):
    with pytest.raises(InputError, match=error):
        rcnn(types.SimpleNamespace(input_size=227), roi_targets={}, detections={}, **options)


def test_predictions_on_a_photo_are_searched_and_scored_by_margins(scripts, finished, tmp_path):
    photo = scripts.folder / "photos/JPEGImages/train0.png"
    scripts.run("predict.py", f"--workdir={finished[0]}", str(photo), f"--output={tmp_path}")
    (detections,) = json.loads((tmp_path / "detections.json").read_text()).values()
    assert detections
    assert all(row["class"] != "ghost" for row in detections)
    assert all(row["score"] >= 0 for row in detections)  # the decision boundary of an SVM
