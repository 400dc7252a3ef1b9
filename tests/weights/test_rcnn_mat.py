"""rcnn's CaffeNet, SVMs and box regressors: files as its MATLAB code writes them, against its own formulas."""

import numpy as np
import pytest
import scipy.io

from configs import rcnn_voc
from jaxdet import convert
from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.training.restore import restore_params
from jaxdet.weights.rcnn_mat import read_box_regressors, read_svms
from tests.weights import caffe_model

F, K, CELLS, NORM = 16, 3, (6, 6, 16), 13.5
POOL5 = CELLS[0] * CELLS[1] * CELLS[2]


def cell_array(items):
    cells = np.empty((len(items), 1), object)
    cells[:, 0] = items
    return cells


@pytest.fixture
def files(tmp_path):
    """Return the two files, and the arrays in them."""
    rng = np.random.default_rng(0)
    svms = {"W": rng.normal(size=(F, K)).astype(np.float32), "B": rng.normal(size=(1, K)).astype(np.float32)}
    regressors = [
        {"mu": rng.normal(size=(1, 4)), "T_inv": rng.normal(size=(4, 4)), "Beta": rng.normal(size=(POOL5 + 1, 4))}
        for _ in range(K)
    ]
    options = {"feat_norm_mean": NORM, "layer": 7.0}
    model = {
        "detectors": svms | {"crop_mode": "warp"},
        "training_opts": options,
        "classes": cell_array(["a", "b", "c"]),
    }
    scipy.io.savemat(tmp_path / "rcnn_model.mat", {"rcnn_model": model})
    models = {"models": cell_array(regressors), "training_opts": options}
    scipy.io.savemat(tmp_path / "bbox_regressor_final.mat", {"bbox_reg": models})
    return tmp_path / "rcnn_model.mat", tmp_path / "bbox_regressor_final.mat", svms, regressors


def test_svms_score_scaled_features(files):
    ours = read_svms(files[0], features=F, classes=K)
    features = np.random.default_rng(1).uniform(size=(5, F)).astype(np.float32)
    want = features * (20 / NORM) @ files[2]["W"] + files[2]["B"]  # rcnn_detect.m
    np.testing.assert_allclose(features @ ours["kernel"] + ours["bias"], want, rtol=1e-5, atol=1e-5)


def test_box_regressors_read_pool5_by_channel_row_column(files):
    ours = read_box_regressors(files[1], cells=CELLS, classes=K)
    pool5 = np.random.default_rng(2).uniform(size=(5, *CELLS))
    scaled = pool5.transpose(0, 3, 1, 2).reshape(5, -1) * (20 / NORM)
    for label, model in enumerate(files[3]):
        raw = scaled @ model["Beta"][:-1] + model["Beta"][-1]
        want = raw @ model["T_inv"] + model["mu"]  # rcnn_predict_bbox_regressor.m
        got = pool5.reshape(5, -1) @ ours["kernel"][label] + ours["bias"][label]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_rcnn_becomes_a_workdir(files, tmp_path):
    arrays = caffe_model.detector("alexnet", "rcnn", hidden=F)
    net = str(caffe_model.write(tmp_path / "finetune_voc_2007_trainval_iter_70k", arrays, generation="layers"))
    names = ("cat", "dog", "bird")
    with pytest.raises(InputError, match="--svms must name rcnn's file of SVMs, got none; .*scoring=softmax"):
        convert.convert(rcnn_voc.get_config(), net, str(tmp_path / "run"), names)
    mats = {"svms": str(files[0]), "box_regressors": str(files[1])}
    convert.convert(rcnn_voc.get_config(), net, str(tmp_path / "run"), names, **mats)
    params = restore_params(tmp_path / "run", "best")
    np.testing.assert_array_equal(params["svm"]["kernel"], read_svms(files[0], features=F, classes=K)["kernel"])
    assert params["bbox_ridge"]["kernel"].shape == (K, POOL5, 4)
    np.testing.assert_array_equal(params["cls_score"]["kernel"], arrays["fc8_pascal"][0].T)
    config, _ = experiment_json.read(tmp_path / "run")
    assert config["linear"]["bbox_regression"] and config["net"]["backbone"] == "alexnet"


def test_files_of_another_layout_are_refused(files, tmp_path):
    with pytest.raises(InputError, match="must hold SVMs of 17 features for 3 classes, got .16, 3."):
        read_svms(files[0], features=17, classes=K)
    with pytest.raises(InputError, match="must hold bbox_reg.models of 2401 x 4 Beta"):
        read_box_regressors(files[1], cells=(10, 10, 24), classes=K)
    with pytest.raises(InputError, match="must hold the struct rcnn_model, got KeyError"):
        read_svms(files[1], features=F, classes=K)
    (tmp_path / "text.mat").write_text("no")
    with pytest.raises(InputError, match="text.mat must be a .mat file, got"):
        read_svms(tmp_path / "text.mat", features=F, classes=K)
    with pytest.raises(InputError, match="must be a readable file, got: No such file"):
        read_svms(tmp_path / "none.mat", features=F, classes=K)


def test_features_without_a_mean_length_are_refused(files, tmp_path):
    model = {"detectors": files[2], "training_opts": {"feat_norm_mean": 0.0}}
    scipy.io.savemat(tmp_path / "zero.mat", {"rcnn_model": model})
    with pytest.raises(InputError, match="feat_norm_mean 0.0"):
        read_svms(tmp_path / "zero.mat", features=F, classes=K)
