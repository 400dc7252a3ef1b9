import pytest

from configs import (
    fast_devkit,
    fast_voc,
    faster_devkit,
    faster_shapes,
    faster_voc,
    faster_voc_alternating,
    rcnn_devkit,
    rcnn_voc,
)
from jaxdet import sections
from jaxdet.checks import InputError


@pytest.mark.parametrize(
    "module",
    [faster_devkit, faster_shapes, faster_voc, faster_voc_alternating, fast_devkit, fast_voc, rcnn_devkit, rcnn_voc],
)
def test_the_configs_have_the_fields(module):
    sections.check(module.get_config())


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("sede", 3, "config file: no field 'sede'; did you mean 'seed'?"),
        ("training.step", 3, "config training: no field 'step'; did you mean 'steps'?"),
        ("splits.val", "val", "config splits: no field 'val'; did you mean 'validation'?"),
        ("evaluation.batchsize", 3, "config evaluation: no field 'batchsize'; did you mean 'batch_size'?"),
        ("training.keep", 0, "config: training.keep must be at least 1, got 0."),
        ("training.eval_every", -1, "config: training.eval_every must be at least 0, got -1."),
        ("evaluation.batch_size", 0, "config: evaluation.batch_size must be at least 1, got 0."),
        ("evaluation.detections_per_class", -1, "config: evaluation.detections_per_class must be at least 0, got -1."),
        (
            "evaluation.svd_ranks",
            (8,),
            "config: evaluation.svd_ranks must be two, of fc6 and fc7, got (8,); (0, 0) leaves both as trained.",
        ),
        (
            "system",
            "fast_rccn",
            "config: system must be one of faster_rcnn, fast_rcnn, rcnn, got 'fast_rccn'; did you mean 'fast_rcnn'?",
        ),
    ],
)
def test_a_field_that_nobody_reads_and_a_count_too_small(field, value, error):
    config = faster_shapes.get_config()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError) as refused:
        sections.check(config)
    assert str(refused.value) == error


def test_a_field_that_is_missing():
    config = faster_shapes.get_config()
    del config.training.keep
    with pytest.raises(InputError, match="config training: field 'keep' is missing"):
        sections.check(config)


@pytest.mark.parametrize(
    ("module", "field", "value", "error"),
    [
        (fast_voc, "anchors", {}, "config file: no field 'anchors'; "),
        (fast_voc, "stages", {}, "config file: no field 'stages'; "),
        (faster_shapes, "proposals", {}, "config file: no field 'proposals'; "),
        (rcnn_voc, "linear.bbox", True, "config linear: no field 'bbox'; did you mean 'bbox_regression'?"),
        (
            rcnn_voc,
            "evaluation.svd_ranks",
            (64, 0),
            "config: evaluation.svd_ranks must be (0, 0) for R-CNN, got (64, 0)",
        ),
        (faster_voc_alternating, "stages.rpm", {}, "config stages: no field 'rpm'; did you mean 'rpn'?"),
        (faster_voc_alternating, "stages.rpn.step", 3, "config stages.rpn: no field 'step'; did you mean 'steps'?"),
        (faster_voc_alternating, "stages.rpn.steps", 0, "config: stages.rpn.steps must be at least 1, got 0."),
        (
            faster_voc_alternating,
            "stages.rpn.batch_size",
            0,
            "config: stages.rpn.batch_size must be at least 1, got 0.",
        ),
        (
            faster_voc_alternating,
            "training.steps",
            3,
            "config training: no field 'steps' with stages; set stages.fast_rcnn.steps and stages.rpn.steps.",
        ),
        (
            faster_voc_alternating,
            "optim.boundaries",
            (3,),
            "config optim: no field 'boundaries' with stages; set stages.fast_rcnn.boundaries and stages.rpn.bound",
        ),
    ],
)
def test_the_fields_of_each_system(module, field, value, error):
    config = module.get_config()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError) as refused:
        sections.check(config)
    assert str(refused.value).startswith(error)


def test_a_system_without_its_sections():
    config = rcnn_voc.get_config()
    del config.linear
    with pytest.raises(InputError, match="config file: field 'linear' is missing; Rcnn needs it"):
        sections.check(config)


def test_the_config_of_a_kind_of_stages():
    config = faster_voc_alternating.get_config()
    config.lock()  # as flags do
    rpn, fast = (sections.stage_config(config, name) for name in ("rpn", "fast_rcnn"))
    assert (rpn.training.steps, rpn.training.batch_size, rpn.optim.boundaries) == (80_000, 1, (60_000,))
    assert (fast.training.steps, fast.training.batch_size, fast.optim.boundaries) == (40_000, 2, (30_000,))
    assert "stages" not in rpn and "steps" not in config.training
