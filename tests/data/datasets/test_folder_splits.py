from pathlib import Path

import pytest

from jaxdet.checks import InputError
from jaxdet.data.datasets.folder_format import FolderFormat, ListedImage
from jaxdet.data.datasets.folder_splits import choose_images, image_id, sample_splits, usual_name


class Named(ListedImage):
    def __init__(self, listed):
        self.listed = listed

    def find(self):
        return self.listed, Path(self.listed)

    def is_annotated(self):
        return True

    def annotation(self):
        raise NotImplementedError


class Folder(FolderFormat):
    name = "a format"
    folder = Path("/photos")

    def __init__(self, count=200, **splits):
        self._splits = {name: [Named(f"{name}{i}") for i in range(count)] for name in splits or ("default",)}

    def splits(self):
        return tuple(self._splits)

    def images(self, split):
        return self._splits[split]

    def class_names(self):
        return ("cat",)

    def files(self):
        return []


def listed(chosen):
    return [image.listed for image in chosen.images]


@pytest.mark.parametrize(
    ("split", "usual"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("train2017", "train"),
        ("valid", "val"),
        ("val_2014", "val"),
        ("validation", "val"),
        ("testing", "test"),
        ("trainval", ""),
        ("test1234567", ""),
        ("cat_train", ""),
    ],
)
def test_splits_have_usual_names(split, usual):
    assert usual_name(split) == usual


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("images/a.jpg", "a"),
        ("train/Annotations/day1/a.xml", "train/day1/a"),
        ("labels/train/a.txt", "train/a"),
        ("photo.v2", "photo.v2"),
        ("photo.v2.JPG", "photo.v2"),
        (".jpg", ".jpg"),
        ("../../etc/a.jpg", "etc/a"),
        ("/content/images/a.jpg", "content/a"),
        ("..\\a.jpg", "a"),
    ],
)
def test_an_image_and_its_annotation_have_one_id(path, name):
    assert image_id(path) == name


def test_own_splits_answer_to_their_usual_names():
    folder = Folder(1, train2017=1, valid=1, Test=1)
    assert [listed(choose_images(folder, name)) for name in ("train", "val", "test", "valid")] == [
        ["train20170"],
        ["valid0"],
        ["Test0"],
        ["valid0"],
    ]


def test_a_folder_without_splits_is_sampled_in_three():
    parts = {name: choose_images(Folder(), name) for name in ("train", "val", "test")}
    assert {name: len(part.images) for name, part in parts.items()} == {"train": 133, "val": 30, "test": 37}
    assert sorted(sum(map(listed, parts.values()), [])) == sorted(f"default{i}" for i in range(200))
    for name, part in parts.items():
        assert part.source == "default" and part.sampled is not None and part.sampled[name] == listed(part)
    assert len(choose_images(Folder(), "default").images) == 200


def test_an_image_stays_in_its_split_when_files_are_added():
    few, more = Folder(100), Folder(200)
    for name in ("train", "val", "test"):
        assert set(listed(choose_images(few, name))) <= set(listed(choose_images(more, name)))


def test_the_split_of_an_image_does_not_depend_on_its_format():
    names = [f"photo{i}" for i in range(50)]
    coco = sample_splits([Named(f"images/{name}.jpg") for name in names], ["val", "test"])
    plain = sample_splits([Named(name) for name in names], ["val", "test"])
    assert [image_id(image.listed) for image in coco["val"]] == [image.listed for image in plain["val"]]


@pytest.mark.parametrize("count", range(3, 12))
def test_each_sampled_split_of_a_few_images_has_one(count):
    for seed in range(20):
        parts = sample_splits([Named(f"{seed}-{i}") for i in range(count)], ["val", "test"])
        assert all(parts.values())
        assert sorted(i.listed for part in parts.values() for i in part) == sorted(f"{seed}-{i}" for i in range(count))


def test_a_missing_validation_split_is_sampled_from_the_training_split():
    folder = Folder(200, train=1, test=1)
    train, val = choose_images(folder, "train"), choose_images(folder, "validation")
    assert (len(train.images) + len(val.images), val.source) == (200, "train")
    assert not set(listed(train)) & set(listed(val)) and 20 < len(val.images) < 40
    assert listed(choose_images(folder, "test")) == [f"test{i}" for i in range(200)]
    assert len(choose_images(folder, "default").images) == 200  # all training images


def test_a_folder_with_a_validation_split_is_left_as_it_is():
    folder = Folder(10, train=1, valid=1)
    assert len(choose_images(folder, "train").images) == 10
    with pytest.raises(InputError, match=r"/photos has no split 'test'; .*train.*evaluate.py --split=validation"):
        choose_images(folder, "test")


def test_wrong_splits_are_refused():
    with pytest.raises(
        InputError, match="split 'train' of /photos may be any of train2014, train2017.*splits.train=tr"
    ):
        choose_images(Folder(3, train2014=1, train2017=1, val=1), "train")
    with pytest.raises(InputError, match="no split 'vall'"):
        choose_images(Folder(), "vall")
    with pytest.raises(InputError, match="at least 3 images, got 2; .*--config.splits.train=default"):
        choose_images(Folder(2), "train")
