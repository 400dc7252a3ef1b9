import dataclasses
import math

import jax
import pytest

from jaxdet.cli.config_file import load_config
from jaxdet.config.parse import parse
from jaxdet.doctor import cost as module
from jaxdet.doctor.cost import Cost, cost_findings, estimate, measure, random_batch
from tests.training import toy

COST = Cost(
    stage="joint",
    bucket=(608, 800),
    batch_size=2,
    steps=100,
    compile_seconds=1.0,
    seconds=0.5,
    hours=0.01,
    memory=4_000,
    available=10_000,
    fixed=1_000,
    checkpoints=1,
)


def test_a_step_of_the_largest_bucket_is_timed_and_the_hours_follow_the_sizes_of_the_images():
    stage = toy.stage(7200)
    small, large = (16, 16), (16, 48)
    cost = measure(stage, [small, large], max_gt=2, max_proposals=0)
    assert (cost.bucket, cost.batch_size, cost.steps) == (large, 8, 7200)
    assert 0 < cost.seconds < 60
    assert cost.hours == pytest.approx(cost.seconds * 2 * (16 + 48) / 2 / 48)
    assert cost.checkpoints == (stage.keep + 2) * (cost.fixed - 4 * 39)  # without the gradients of 39 parameters


def test_a_step_that_does_not_fit_is_not_run(monkeypatch):
    monkeypatch.setattr(module, "available_bytes", lambda state: 10)
    cost = measure(toy.stage(1), [(16, 16)], max_gt=2, max_proposals=0)
    assert math.isnan(cost.seconds)
    (finding,) = cost_findings(cost, accumulate=1, reference_batch_size=0)
    assert finding.severity == "error"


def test_a_batch_that_is_too_large_gets_one_that_fits():
    small = dataclasses.replace(COST, available=3_000)
    (finding,) = cost_findings(small, accumulate=1, reference_batch_size=0)
    flags = "--config.training.batch_size=1", "--config.training.reference_batch_size=2"
    assert (finding.severity, finding.flags) == ("error", flags)
    (finding,) = cost_findings(small, accumulate=1, reference_batch_size=16)
    assert finding.flags == flags[:1]
    (finding,) = cost_findings(small, accumulate=1, reference_batch_size=None)
    assert "lower input.short_side" in finding.text


def test_larger_batches_are_advised_on_an_accelerator_only(monkeypatch):
    room = dataclasses.replace(COST, available=100_000)
    assert cost_findings(room, accumulate=1, reference_batch_size=0) == []
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    (finding,) = cost_findings(room, accumulate=1, reference_batch_size=0)
    assert finding.flags == ("--config.training.batch_size=16", "--config.training.reference_batch_size=2")
    tight = dataclasses.replace(COST, available=6_000)
    assert cost_findings(tight, accumulate=1, reference_batch_size=0) == []


def test_nothing_is_claimed_where_memory_is_unknown():
    unknown = dataclasses.replace(COST, memory=None)
    assert cost_findings(unknown, accumulate=1, reference_batch_size=0) == []


def test_rcnn_is_not_estimated_and_says_so():
    experiment = parse(load_config("rcnn_devkit").to_dict())
    cost, (finding,) = estimate(experiment, ("cat",), [(512, 512)], workdir="missing", overridden=())
    assert cost is None
    assert "the time of R-CNN is not estimated" in finding.text


def test_a_mistake_in_the_initial_weights_is_a_finding():
    experiment = parse(load_config("faster_devkit").to_dict())
    training = dataclasses.replace(experiment.training, init_from="missing/run")
    cost, (finding,) = estimate(
        dataclasses.replace(experiment, training=training), ("cat",), [(512, 512)], workdir="missing", overridden=()
    )
    assert (cost, finding.severity) == (None, "error")
    assert "missing/run" in finding.text


def test_a_step_that_fails_is_a_finding(monkeypatch):
    def fail(*_, **__):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory.\nBacktrace")

    monkeypatch.setattr(module, "measure", fail)
    experiment = parse(load_config("faster_devkit").to_dict())
    cost, (finding,) = estimate(experiment, ("cat",), [(512, 512)], workdir="missing", overridden=())
    assert (cost, finding.severity) == (None, "error")
    assert finding.text == "a training step fails on this machine: RESOURCE_EXHAUSTED: Out of memory"


def test_a_random_batch_is_valid():
    batch = random_batch((32, 48), 2, max_gt=3, max_proposals=4)
    assert batch.gt_valid.sum(1).tolist() == [2, 2]
    assert batch.proposals_valid.all()
    assert (batch.gt_boxes[:, :2, 2:] > batch.gt_boxes[:, :2, :2]).all()
    assert set(batch.gt_labels[batch.gt_valid]) == {1}
