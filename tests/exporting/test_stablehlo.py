"""Export to StableHLO: its programs detect as the workdir does, in any row of a batch, one for each platform."""

import importlib.util
import json

import jax
import numpy as np
import pytest
from jax import export as jax_export

import jaxdet
from configs import fast_devkit, faster_devkit, rcnn_devkit
from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.export import export
from jaxdet.exporting.stablehlo import check_stablehlo, write_stablehlo
from jaxdet.inputs import image_batch
from jaxdet.systems import build_detector
from jaxdet.training.restore import restore_params

pytestmark = pytest.mark.usefixtures("programs")

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 60, 90, 3), np.uint8)


@pytest.fixture(scope="module")
def file(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "detector.stablehlo"
    export(str(trained[0]), str(path), batch_size=2)
    return path


@pytest.fixture(scope="module")
def entries(file):
    with np.load(file) as archive:
        return dict(archive)


def test_the_header_says_what_a_caller_needs(trained, file, entries):
    header = json.loads(str(entries["header"]))
    assert header["class_names"] == list(experiment_json.read(trained[0])[1])
    assert header["buckets"] == [[96, 96]] and (header["short_side"], header["long_side"]) == (96, 96)
    assert (header["batch_size"], header["threshold"], header["preprocessing"]) == (2, 0.5, "torchvision")
    assert "in a numpy archive" in file.with_name(f"{file.name}.md").read_text()


def test_each_platform_has_a_program_and_only_a_tpus_has_kernels(entries):
    for platform in ("cpu", "cuda", "tpu"):
        program = jax_export.deserialize(bytearray(entries[f"96x96/{platform}"]))
        assert program.platforms == (platform,)
        assert ("tpu_custom_call" in program.mlir_module()) == (platform == "tpu")


def test_roi_max_pooling_is_a_kernel_on_a_tpu_alone(trained, tmp_path):
    config, class_names = experiment_json.read(trained[0])
    config["head"]["roi_pooling"] = "max_pool"
    experiment = parse(config)
    detector, path = build_detector(experiment, class_names), tmp_path / "pooling.stablehlo"
    write_stablehlo(path, detector, restore_params(trained[0]), experiment, class_names, version="1", batch_size=1)
    with np.load(path) as archive:
        programs = {name: jax_export.deserialize(bytearray(archive[name])) for name in archive if "96x96" in name}
    assert [name for name in programs if 'kernel_name = "roi_pool' in programs[name].mlir_module()] == ["96x96/tpu"]


def test_rows_of_a_batch_are_detected_as_by_the_workdir(trained, entries):
    program = jax_export.deserialize(bytearray(entries["96x96/cpu"]))
    experiment = parse(experiment_json.read(trained[0])[0])
    rows = [image_batch(experiment, image) for image in IMAGES]
    batch = jax.tree.map(lambda *leaves: np.concatenate(leaves), *rows)
    params = {name.removeprefix("params/"): entries[name] for name in entries if name.startswith("params/")}
    outputs = jax.jit(program.call)(params, batch.image, batch.image_size, batch.scale)
    detector = jaxdet.load_detector(trained[0], batch_size=2)
    for row, expected in enumerate(detector([*IMAGES], threshold=0.0)):
        boxes, scores, labels, valid = (np.asarray(output)[row] for output in outputs)
        assert valid.sum() == len(expected) > 0
        np.testing.assert_allclose(boxes[valid], expected.boxes, atol=1e-2)
        np.testing.assert_allclose(scores[valid], expected.scores, atol=1e-4)
        np.testing.assert_array_equal(labels[valid], expected.labels)


@pytest.mark.parametrize("config", [fast_devkit, rcnn_devkit])
def test_a_detector_that_needs_selective_search_is_refused(config):
    experiment = parse(config.get_config().to_dict())
    with pytest.raises(InputError, match=f"got system {experiment.system}, .* Selective Search"):
        check_stablehlo(experiment, 1)


def test_an_empty_batch_and_a_missing_package_are_refused(monkeypatch):
    experiment = parse(faster_devkit.get_config().to_dict())
    check_stablehlo(experiment, 1)
    with pytest.raises(InputError, match="--batch_size must be at least 1, got 0"):
        check_stablehlo(experiment, 0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "jaxdet\[stablehlo\]"'):
        check_stablehlo(experiment, 1)
