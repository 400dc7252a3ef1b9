"""Fast R-CNN through the scripts, on images of which some have no proposals; its proposals and compressed layers."""

import dataclasses
import json
import re
import shutil

import jax
import numpy as np
import pytest
import scipy.io

from configs import fast_devkit, rcnn_devkit
from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.inputs import open_part
from jaxdet.load import restore
from jaxdet.systems import param_shapes
from jaxdet.train import train
from jaxdet.training.restore import restore_params
from jaxdet.training.state import flatten
from tests.scripts import SEARCH, TINY_PHOTOS, TINY_SEARCH, read_metrics

FAST = (
    "--config=configs/fast_devkit.py",
    *TINY_PHOTOS,
    *TINY_SEARCH,
    "--config.training.batch_size=2",
    "--config.training.steps=3",
    "--config.training.eval_every=2",
)


@pytest.fixture(scope="module")
def trained_fast(scripts, tmp_path_factory):
    """Return Fast R-CNN's workdir and what train.py printed."""
    workdir = tmp_path_factory.mktemp("fast")
    return workdir, scripts.run("train.py", f"--workdir={workdir}", *FAST, *scripts.photo_flags())


@pytest.fixture(scope="module")
def evaluated_fast(scripts, trained_fast):
    """Return what evaluate.py printed, metrics.json, and the rows of the result files."""
    printed = scripts.run("evaluate.py", f"--workdir={trained_fast[0]}")
    return printed, *read_results(trained_fast[0])


def read_results(workdir):
    """Return metrics.json, and per class the rows [detections,5] of its result file: score, box."""
    folder = workdir / "evaluation" / "test"
    files = {path.stem.rpartition("_")[2]: path.read_text().splitlines() for path in folder.glob("comp4*")}
    rows = {name: np.array([line.split()[1:] for line in lines], float) for name, lines in files.items()}
    return json.loads((folder / "metrics.json").read_text()), rows


@pytest.fixture
def photos_config(scripts):
    """Return the config of the flags FAST and photo_flags."""
    config = fast_devkit.get_config()
    config.dataset.update(dict(flag.removeprefix("--config.dataset.").split("=") for flag in scripts.photo_flags()))
    config.proposals.update({**SEARCH, "workers": 1})
    return config


def experiment_of(config):
    return parse(config.to_dict())


def test_fast_rcnn_trains_and_normalises_box_targets_by_class(trained_fast, photos_config):
    workdir, printed = trained_fast
    assert [line["step"] for line in read_metrics(workdir) if line["split"] == "train"] == [1, 2, 3]
    assert [line["step"] for line in read_metrics(workdir) if line["split"] == "val"] == [2, 3]
    assert re.search(r"^fast_rcnn 3/3  validation: val_loss \S+  val_map \S+$", printed, re.MULTILINE)
    assert f"done; next: python -m jaxdet evaluate --workdir={workdir}; python -m jaxdet predict" in printed
    deltas = restore_params(workdir)["bbox_targets"]
    experiment = experiment_of(photos_config)
    table = open_part(experiment, "train").with_proposals().proposals
    assert len(table[0]) == 0 < len(table[1])  # one training image has no proposals
    assert json.loads((workdir / "experiment.json").read_text())["class_names"] == ["bar", "ghost", "square"]
    for label in (0, 2):  # the background, and the class without training examples
        np.testing.assert_array_equal(deltas["mean"][label], 0)
        np.testing.assert_array_equal(deltas["std"][label], 1)
    for label in (1, 3):
        assert (deltas["std"][label] != 1).any()


def test_evaluation_reports_the_recall_of_proposals(evaluated_fast, photos_config):
    printed, metrics, rows = evaluated_fast
    split = open_part(experiment_of(photos_config), "test").with_proposals()
    dataset, table = split.dataset, split.proposals
    assert metrics["proposals"]["mean_proposals"] == len(table.boxes) / len(dataset) > 0
    assert 0 < metrics["proposals"]["recall_0.7"] <= metrics["proposals"]["recall_0.5"] <= 1
    assert re.search(r"^Proposals: recall_0.5 [\d.]+  recall_0.7 [\d.]+  mean_proposals [\d.]+$", printed, re.MULTILINE)
    assert {name: len(class_rows) for name, class_rows in rows.items()} == {
        name: class_metrics["detections"] for name, class_metrics in metrics["classes"].items()
    }
    assert sum(map(len, rows.values())) > 0


def test_layers_compressed_to_full_rank_detect_the_same(scripts, trained_fast, evaluated_fast):
    _, _, before = evaluated_fast
    scripts.run("evaluate.py", f"--workdir={trained_fast[0]}", "--config.evaluation.svd_ranks=16,16")
    _, after = read_results(trained_fast[0])
    for name, rows in before.items():
        np.testing.assert_allclose(after[name], rows, atol=0.11)  # boxes are written with one digit


def test_restoring_compresses_fully_connected_layers(trained_fast):
    config, class_names = experiment_json.read(trained_fast[0])
    config["evaluation"]["svd_ranks"] = (4, 0)
    detector, params = restore(trained_fast[0], parse(config), class_names)
    assert params["fc6_v"]["kernel"].shape == (576, 4) and params["fc6_u"]["kernel"].shape == (4, 16)
    assert "fc6" not in params and "fc7" in params
    assert flatten(param_shapes(detector)).keys() == flatten(params).keys()


def test_a_rank_that_is_too_large_is_refused(trained_fast):
    config, class_names = experiment_json.read(trained_fast[0])
    config["evaluation"]["svd_ranks"] = (17, 0)
    with pytest.raises(InputError, match="svd_ranks: that of fc6 must be 1 to 16, got 17; lower it"):
        restore(trained_fast[0], parse(config), class_names)


def test_each_set_of_search_parameters_has_its_own_file(photos_config):
    split = open_part(experiment_of(photos_config), "train")
    path = split.proposals_file
    assert path.exists()
    search = dataclasses.replace(split.search, workers=3)  # proposals do not depend on it
    assert dataclasses.replace(split, search=search).proposals_file == path
    search = dataclasses.replace(split.search, max_boxes=7)
    other = dataclasses.replace(split, search=search).proposals_file
    assert not other.exists()
    shutil.copy(path, other)
    try:
        with pytest.raises(InputError) as refused:
            dataclasses.replace(split, search=search).with_proposals()
    finally:
        other.unlink()
    assert f"{other} is of other data or parameters: max_boxes must be 7, got 8; delete it" in str(refused.value)


def test_boxes_of_a_mat_file_replace_the_search(photos_config, tmp_path):
    config = photos_config
    dataset = open_part(experiment_of(config), "test").dataset
    boxes, names = np.empty((2, len(dataset)), object)
    for i, name in enumerate(dataset.names):
        boxes[i], names[i] = np.float64([[11, 1, 64, 20 + i]]), name
    scipy.io.savemat(tmp_path / "boxes_test.mat", {"boxes": boxes, "images": names})
    config.proposals.file = f"{tmp_path}/boxes_{{split}}.mat"
    split = dataclasses.replace(open_part(experiment_of(config), "test"), data_dir=tmp_path).with_proposals()
    assert [table.tolist() for table in split.proposals] == [[[0, 10, 20, 64]], [[0, 10, 21, 64]]]
    assert split.proposals_file.name.startswith("mat_file_") and split.proposals_key()["method"] == "mat_file"
    with pytest.raises(InputError, match="must name the boxes of split train, got .*boxes_train.mat, which is no file"):
        open_part(experiment_of(config), "train")


def test_several_processes_cannot_search_or_train_rcnn(photos_config, monkeypatch, tmp_path):
    split = open_part(experiment_of(photos_config), "train")
    config = rcnn_devkit.get_config()
    config.dataset = photos_config.dataset
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match="npz must exist before several processes start, got none; run this once"):
        dataclasses.replace(split, data_dir=tmp_path).with_proposals()
    with pytest.raises(InputError, match="SVMs must be fitted by one process, got 2; remove --distributed"):
        train(config, str(tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []
