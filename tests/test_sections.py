import pytest

from configs import faster_devkit, faster_shapes, faster_voc
from jaxdet import sections
from jaxdet.checks import InputError


@pytest.mark.parametrize("module", [faster_devkit, faster_shapes, faster_voc])
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
