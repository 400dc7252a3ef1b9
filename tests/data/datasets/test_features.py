import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxdet.data.datasets.features import VocObject, continuous_boxes, example, features, stored_bbox


@given(st.integers(1, 6000), st.integers(1, 6000), st.data())
def test_whole_numbers_are_stored_exactly(height, width, data):
    """VOC's 1-based xmin, ymin, xmax, ymax through TFDS's float32 fractions are exact, minima reduced by 1."""
    xmin, ymin = data.draw(st.integers(1, width)), data.draw(st.integers(1, height))
    xmax, ymax = data.draw(st.integers(xmin, width)), data.draw(st.integers(ymin, height))
    stored = np.array([[ymin / height, xmin / width, ymax / height, xmax / width]], np.float32)
    boxes = continuous_boxes(stored, height, width)
    assert boxes.dtype == np.float32
    assert boxes.tolist() == [[xmin - 1, ymin - 1, xmax, ymax]]
    ours = stored_bbox((xmin - 1, ymin - 1, xmax, ymax), height, width)
    np.testing.assert_allclose([ours.ymin, ours.xmin, ours.ymax, ours.xmax], stored[0], rtol=1e-6)


def test_an_image_without_boxes():
    assert continuous_boxes(np.zeros((0, 4), np.float32), 10, 20).shape == (0, 4)


def test_labels_no_difficult_lacks_the_difficult_objects():
    objects = [
        VocObject("dog", (0, 0, 5, 5), difficult=True),
        VocObject("cat", (1, 1, 5, 5)),
        VocObject("cat", (0, 0, 9, 9)),
    ]
    stored = example("a.jpg", b"", 10, 10, objects)
    assert stored["labels"] == ["cat", "dog"]
    assert stored["labels_no_difficult"] == ["cat"]
    assert [each["is_difficult"] for each in stored["objects"]] == [True, False, False]


def test_features_have_the_classes_in_the_given_order():
    assert features(("zebra", "ant"))["objects"]["label"].names == ["zebra", "ant"]
