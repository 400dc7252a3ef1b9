import cv2
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets.shape_drawing import CLASS_NAMES
from jaxdet.data.datasets.shapes import draw_scene, prepare_shapes

SIZE = 192


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(np.random.default_rng((7, i)), SIZE) for i in range(240)]


def test_scenes_have_the_documented_properties(scenes):
    counts = [len(scene.names) for scene in scenes]
    assert set(counts) == {1, 2, 3, 4, 5, 6}
    boxes = np.concatenate([scene.boxes for scene in scenes])
    sides = boxes[:, 2:] - boxes[:, :2]
    assert boxes.min() >= 0
    assert boxes.max() <= SIZE
    assert sides.min() >= 0.10 * SIZE
    assert sides.max() <= 0.42 * SIZE
    assert len(CLASS_NAMES) >= 4
    shares = [np.mean([name == class_name for scene in scenes for name in scene.names]) for class_name in CLASS_NAMES]
    assert min(shares) > 0.7 / len(CLASS_NAMES)


def test_objects_are_visible_down_to_a_quarter(scenes):
    visible = np.concatenate([scene.visible for scene in scenes])
    assert visible.min() >= 0.25
    assert visible.min() < 0.3
    assert 0.05 < (visible < 0.7).mean() < 0.5
    assert 0 < (visible < 0.4).mean() < 0.1


def test_a_scene_depends_on_its_seed_only(scenes):
    np.testing.assert_array_equal(scenes[3].image, draw_scene(np.random.default_rng((7, 3)), SIZE).image)
    assert (scenes[3].image != scenes[4].image).any()


def test_colour_does_not_reveal_the_class(scenes):
    """A nearest-neighbour and a nearest-centroid classifier over HSV histograms of the crops stay near chance."""
    histograms, labels = [], []
    for scene in scenes:
        for name, box in zip(scene.names, scene.boxes, strict=True):
            x1, y1, x2, y2 = np.round(box).astype(int)
            hsv = cv2.cvtColor(scene.image[y1:y2, x1:x2], cv2.COLOR_RGB2HSV)
            histogram = cv2.calcHist([hsv], [0, 1, 2], None, [8, 4, 4], [0, 180, 0, 256, 0, 256]).ravel()
            histograms.append(np.sqrt(histogram / histogram.sum()))
            labels.append(CLASS_NAMES.index(name))
    histograms, labels = np.array(histograms), np.array(labels)
    half = len(labels) // 2
    train, test = histograms[:half], histograms[half:]
    centroids = np.stack([train[labels[:half] == k].mean(axis=0) for k in range(len(CLASS_NAMES))])
    chance = np.bincount(labels[half:]).max() / (len(labels) - half)

    def nearest(references):
        return (np.square(references).sum(axis=1)[None] - 2 * test @ references.T).argmin(axis=1)

    assert (labels[:half][nearest(train)] == labels[half:]).mean() < chance + 0.1
    assert (nearest(centroids) == labels[half:]).mean() < chance + 0.1


def test_the_prepared_set_has_exact_boxes_and_disjoint_splits(shapes_builder):
    opened = {split: open_split(shapes_builder, split) for split in ("train", "validation", "test")}
    assert [len(dataset) for dataset in opened.values()] == [13, 3, 5]
    first = [dataset[0].image for dataset in opened.values()]
    assert (first[0] != first[1]).any()
    assert (first[0] != first[2]).any()
    scene, record = draw_scene(np.random.default_rng((1, 2, 4)), 96), opened["test"][4]
    np.testing.assert_allclose(record.boxes, scene.boxes, atol=0.0051)
    assert [CLASS_NAMES[k - 1] for k in record.labels] == scene.names
    assert np.abs(record.image.astype(int) - scene.image).mean() < 6  # stored as JPEG


def test_preparing_twice_opens_the_same_copy(shapes_builder, capsys):
    data_dir = shapes_builder.data_path.parents[2]
    again = prepare_shapes(data_dir=str(data_dir), image_size=96, train=13, validation=3, test=5, seed=1)
    assert again.data_path == shapes_builder.data_path
    assert not capsys.readouterr().err


def test_impossible_sizes_are_refused(tmp_path):
    with pytest.raises(InputError, match="image_size of at least 96, got train=0"):
        prepare_shapes(data_dir=str(tmp_path), image_size=96, train=0, validation=1, test=1, seed=0)
