"""Names of result files. Whole evaluations run in test_end_to_end.py."""

import pytest

from configs import faster_devkit, faster_voc
from jaxdet.config.parse import parse
from jaxdet.evaluate import ALL_PICTURES, _comp4_name, _picture_files


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


def test_pictures_never_replace_each_other_or_leave_their_folder():
    names = ["all", "a/b", "../x", "X", "x", "my photo"]
    files = _picture_files(names)
    assert files == [
        "pictures/all-1.png",
        "pictures/a%2Fb.png",
        "pictures/%2E.%2Fx.png",
        "pictures/X.png",
        "pictures/x-1.png",
        "pictures/my photo.png",
    ]
    assert ALL_PICTURES not in files
