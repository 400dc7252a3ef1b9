"""4-step training: the origin of every layer and, through the scripts, training, proposals and resuming per step."""

import json
import re
import signal
import types

import jax.numpy as jnp
import numpy as np
import pytest

from configs import faster_devkit_alternating
from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.inputs import Split
from jaxdet.recipes import alternating
from jaxdet.systems import build_alternating, build_detector, check_params, param_shapes
from jaxdet.training.restore import restore_params
from jaxdet.training.state import flatten
from jaxdet.types import ProposalTable
from tests.scripts import TINY_PHOTOS, assert_same_run, read_metrics

STAGES = ("1_rpn", "2_fast_rcnn", "3_rpn", "4_fast_rcnn")
ALTERNATING = (
    "--config=configs/faster_devkit_alternating.py",
    *TINY_PHOTOS,
    "--config.anchors.scales=(1,2)",
    "--config.rpn.train_proposals.pre_nms_top_n=64",
    "--config.rpn.train_proposals.post_nms_top_n=16",
    "--config.rpn.test_proposals.pre_nms_top_n=64",
    "--config.rpn.test_proposals.post_nms_top_n=16",
    "--config.stages.rpn.steps=2",
    "--config.stages.fast_rcnn.steps=4",
    "--config.training.eval_every=4",
)


@pytest.fixture(scope="module")
def finished(scripts, tmp_path_factory):
    """Return the workdir of an uninterrupted run and what it printed."""
    workdir = tmp_path_factory.mktemp("alternating")
    return workdir, scripts.run("train.py", f"--workdir={workdir}", *ALTERNATING, *scripts.photo_flags())


@pytest.fixture(scope="module")
def params(finished):
    """Return the parameters after each step and, last, those of the whole detector."""
    folders = [finished[0] / "stages" / name for name in STAGES]
    return [restore_params(folder) for folder in (*folders, finished[0])]


# Origin of each layer when steps 1 to 4 start, and in the saved detector (Faster R-CNN, 3.2; the prototxts of
# py-faster-rcnn: the RPN of step 2 and the outputs of step 3 are not passed on).
IMAGENET = "ImageNet"
ORIGINS = {
    "conv1": (IMAGENET, IMAGENET, IMAGENET, IMAGENET, IMAGENET),  # frozen here
    "conv2": (IMAGENET, IMAGENET, "trained in 2", "trained in 2", "trained in 2"),
    "rpn_conv": ("random in 1", "random in 2", "random in 3", "trained in 3", "trained in 3"),
    "fc6": (IMAGENET, IMAGENET, "trained in 2", "trained in 2", "trained in 4"),
    "fc7": (IMAGENET, IMAGENET, "trained in 2", "trained in 2", "trained in 4"),
    "cls_score": ("random in 1", "random in 2", "trained in 2", "random in 4", "trained in 4"),
    "bbox_pred": ("random in 1", "random in 2", "trained in 2", "random in 4", "trained in 4"),
    "bbox_targets": (None, "measured in 2", None, "measured in 4", "measured in 4"),
}


def test_layers_have_the_origins_of_the_paper(monkeypatch, tmp_path):
    """Nothing is trained: the name of a layer's origin replaces its numbers."""
    origins = []

    def run_stage(stage, split, validation, *, folder, initialise):
        number = stage.number
        random = dict.fromkeys(stage.detector.init(None), f"random in {number}")
        if number in (2, 4):
            random["bbox_targets"] = "0 and 1"
        params = {layer: origin.format(number) for layer, origin in initialise(random).items()}
        origins.append(params)
        return params | {layer: f"trained in {number}" for layer in params if stage.trainable(f"{layer}/kernel")}

    def copy_into(weights, random):
        return random | dict.fromkeys(("conv1", "conv2", "fc6", "fc7"), IMAGENET)

    layers = ORIGINS.keys() - {"bbox_targets"}
    detector = types.SimpleNamespace(init=lambda key: {layer: {"kernel": jnp.zeros(1)} for layer in layers})
    monkeypatch.setattr(alternating, "run_stage", run_stage)
    monkeypatch.setattr(alternating.InitialWeights, "copy_into", copy_into)
    monkeypatch.setattr(
        alternating, "with_measured_statistics", lambda params, *_: params | {"bbox_targets": "measured in {}"}
    )
    monkeypatch.setattr(alternating, "fold_target_statistics", lambda params, delta_std: params)
    monkeypatch.setattr(alternating, "save_params", lambda workdir, params, step: origins.append(params))
    monkeypatch.setattr(alternating, "build_alternating", lambda *_: (detector, detector))
    monkeypatch.setattr(alternating.AlternatingTraining, "_proposals", lambda *_: (None, None))
    config = faster_devkit_alternating.get_config()
    config.training.frozen = ("conv1",)
    split = types.SimpleNamespace(dataset=types.SimpleNamespace(class_names=("a",)))
    alternating.AlternatingTraining(parse(config.to_dict()), tmp_path, split).run(None)
    assert {layer: tuple(params.get(layer) for params in origins) for layer in ORIGINS} == ORIGINS


@pytest.mark.parametrize("mirrored", [False, True])
def test_mirrored_proposals_are_made_for_the_training_images_only(monkeypatch, tmp_path, mirrored):
    table = ProposalTable(np.zeros((1, 4), np.float32), np.array([0, 1]))
    made = []

    def rpn_proposals(stage, params, split, path, *, limits, mirrored=False):
        made.append((path.name, mirrored))
        return table

    monkeypatch.setattr(alternating, "rpn_proposals", rpn_proposals)
    config = faster_devkit_alternating.get_config()
    config.net.update({"preprocessing": "caffe", "pool_rounding": "ceil", "dropout_scaling": "train"})
    config.stages.mirrored_proposals = mirrored
    split = Split(types.SimpleNamespace(class_names=("a",)), None, 1, None, (), tmp_path)
    training = alternating.AlternatingTraining(parse(config.to_dict()), tmp_path, split)
    train, validation = training._proposals(types.SimpleNamespace(name="1_rpn"), {}, split, split)
    assert len(train.proposals.tables) == (2 if mirrored else 1) and len(validation.proposals.tables) == 1
    extra = [("proposals_train_mirrored.npz", True)] if mirrored else []
    assert made == [("proposals_train.npz", False), *extra, ("proposals_validation.npz", False)]


def changed(before, after):
    """Return the layers that differ between two sets of parameters."""
    before, after = flatten(before), flatten(after)
    return {path.split("/")[0] for path in before.keys() & after if not np.array_equal(before[path], after[path])}


def test_each_step_trains_its_part(params):
    first, second, third, fourth, _ = params
    names = set(third)
    heads, rpn = {"fc6", "fc7", "cls_score", "bbox_pred"}, {"rpn_conv", "rpn_cls_score", "rpn_bbox_pred"}
    convolutions = names - heads - rpn
    assert names == set(first) == set(second) - {"bbox_targets"} and convolutions == {f"conv{i}" for i in range(1, 6)}
    assert (
        changed(first, second) == convolutions | heads | rpn
    )  # step 2 starts where step 1 started, not where it ended
    assert changed(second, third) == rpn
    assert changed(third, fourth) == heads


def test_the_whole_detector_is_step_4_with_its_target_statistics_folded(params):
    fourth, whole = params[3:]
    assert changed(fourth, whole) == {"bbox_pred"} and set(whole) == set(fourth) - {"bbox_targets"}
    pooled = np.random.default_rng(0).normal(size=(5, 16))
    normalised = pooled @ fourth["bbox_pred"]["kernel"] + fourth["bbox_pred"]["bias"]
    mean, std = fourth["bbox_targets"]["mean"], fourth["bbox_targets"]["std"]
    deltas = normalised.reshape(5, -1, 4) * std + mean
    got = (pooled @ whole["bbox_pred"]["kernel"] + whole["bbox_pred"]["bias"]).reshape(5, -1, 4)
    np.testing.assert_allclose(got * faster_devkit_alternating.get_config().head.delta_std, deltas, atol=1e-6)


def test_steps_1_and_3_save_their_proposals(finished):
    for stage in ("1_rpn", "3_rpn"):
        with np.load(finished[0] / "stages" / stage / "proposals_train.npz") as file:
            assert len(file["starts"]) == 5 + 1
            assert 0 < np.diff(file["starts"]).max() <= 16
            assert (file["boxes"] >= 0).all() and (file["boxes"] <= 64).all()
            assert json.loads(str(file["key"]))["method"] == "rpn"


def test_only_the_fast_rcnn_steps_are_validated(finished):
    for name in STAGES:
        steps = [line["step"] for line in read_metrics(finished[0] / "stages" / name) if line["split"] == "val"]
        assert steps == ([4] if name.endswith("fast_rcnn") else [])


def test_the_whole_detector_can_be_evaluated_and_used_on_a_photo(scripts, finished, tmp_path):
    printed = scripts.run("evaluate.py", f"--workdir={finished[0]}")
    assert re.search(r"^ mean +[\d.]+", printed, re.MULTILINE)
    metrics = json.loads((finished[0] / "evaluation/test/metrics.json").read_text())
    assert sum(row["detections"] for row in metrics["classes"].values()) > 0
    photo = scripts.folder / "photos/JPEGImages/train0.png"
    flags = f"--workdir={finished[0]}", f"--output={tmp_path}", "--threshold=0.05"
    scripts.run("predict.py", *flags, str(photo))
    (detections,) = json.loads((tmp_path / "detections.json").read_text()).values()
    assert detections


def test_progress_and_metrics_name_the_stage(finished):
    workdir, printed = finished
    assert re.findall(r"^(\w+): (?:compiled|read from the cache) for images of 64x64", printed, re.MULTILINE) == list(
        STAGES
    )
    for name, steps in zip(STAGES, (2, 4, 2, 4), strict=True):
        assert [line["step"] for line in read_metrics(workdir / "stages" / name) if line["split"] == "train"][
            -1
        ] == steps


def test_a_run_killed_in_step_2_resumes_there_and_ends_the_same(scripts, finished, tmp_path):
    command = "train.py", f"--workdir={tmp_path}", *ALTERNATING, *scripts.photo_flags()
    run = scripts.start(*command)
    run.wait_until(lambda: any(tmp_path.glob("stages/2_fast_rcnn/checkpoints/*/manifest.json")))
    run.kill(signal.SIGKILL)
    run.end(code=-signal.SIGKILL)
    assert not (tmp_path / "checkpoints").exists()

    other, class_names = experiment_json.read(tmp_path)
    other["seed"] = 1
    images = json.loads((tmp_path / "experiment.json").read_text())["images"]
    with pytest.raises(InputError, match="holds another experiment: config.seed is 0 there and 1 here; give another"):
        experiment_json.claim(tmp_path, other, class_names, images)

    printed = scripts.run(*command)
    assert "1_rpn: finished before, at step 2" in printed
    assert "2_fast_rcnn: resuming from the checkpoint of step" in printed
    assert "proposals of 1_rpn" not in printed and "proposals of 3_rpn for 5 images" in printed
    assert_same_run(tmp_path, finished[0])
    for name in STAGES:
        assert_same_run(tmp_path / "stages" / name, finished[0] / "stages" / name)


def test_the_whole_detector_has_the_parameters_of_joint_training(finished, params):
    config, class_names = experiment_json.read(finished[0])
    joint = build_detector(parse(config), class_names)
    check_params(params[-1], joint, "the result")  # what evaluate.py and predict.py check
    assert flatten(params[-1]).keys() == flatten(param_shapes(joint)).keys()


def test_inclusive_boxes_are_refused():
    config = faster_devkit_alternating.get_config()
    config.head.inclusive_boxes = True
    with pytest.raises(InputError, match="head.inclusive_boxes must be False for 4-step training, got True; remove it"):
        build_alternating(parse(config.to_dict()), ("cat",))
