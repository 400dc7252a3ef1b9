"""Names of result files. Whole evaluations run in test_end_to_end.py."""

import pytest

from configs import faster_devkit, faster_voc
from jaxdet.config.parse import parse
from jaxdet.evaluate import _comp4_name


@pytest.mark.parametrize(
    ("module", "split", "name"),
    [
        (faster_voc, "2007/test", "test"),
        (faster_voc, "2012/validation", "val"),
        (faster_voc, "2007/trainval+2012/trainval", "train"),
        (faster_voc, "2012/train[:10%]", "train"),
        (faster_devkit, "validation", "validation"),
    ],
)
def test_result_files_are_named_as_by_the_official_devkit(module, split, name):
    config = module.get_config()
    config.splits.train = split
    assert _comp4_name(parse(config.to_dict()), "train") == name
