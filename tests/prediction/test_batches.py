"""Batches of images that come one by one."""

import types

import numpy as np
import pytest

from jaxdet.prediction.batches import MAX_WAITING, detect_in_order


class Detector:
    """Returns the first pixel of each image, and remembers the pixels of each batch; a bucket is a shape."""

    def __init__(self, batch_size):
        self.batch_size, self.batches = batch_size, []

    def bucket_of(self, image):
        return image.shape[:2]

    def __call__(self, images, threshold):
        if self.batch_size == 1:
            return types.SimpleNamespace(pixel=int(images[0, 0, 0]), threshold=threshold)
        assert len(images) <= self.batch_size and len({image.shape for image in images}) == 1
        self.batches.append([int(image[0, 0, 0]) for image in images])
        return [types.SimpleNamespace(pixel=pixel, threshold=threshold) for pixel in self.batches[-1]]


def images(*sides):
    return [(f"image {i}", np.full((side, 4, 3), i, np.uint8)) for i, side in enumerate(sides)]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
@pytest.mark.parametrize("sides", [(), (4,), (4, 4, 4, 4, 4), (4, 5, 4, 5, 5, 4, 6), (5, *[4] * 30)])
def test_results_are_in_order_for_every_batch_size(batch_size, sides):
    given = images(*sides)
    results = list(detect_in_order(Detector(batch_size), given, 0.5))
    assert [key for key, _, _ in results] == [key for key, _ in given]
    assert [found.pixel for _, _, found in results] == list(range(len(sides)))
    assert all(found.threshold == 0.5 for _, _, found in results)
    assert all(image is given[i][1] for i, (_, image, _) in enumerate(results))


def test_images_of_one_bucket_share_batches():
    detector = Detector(2)
    list(detect_in_order(detector, images(4, 5, 4, 5, 4), 0.5))
    assert detector.batches == [[0, 2], [1, 3], [4]]


def test_a_rare_bucket_does_not_make_all_others_wait():
    detector, read = Detector(2), []

    def reading():
        for key, image in images(9, *[4] * 40):
            read.append(key)
            yield key, image

    results = detect_in_order(detector, reading(), 0.5)
    next(results)
    assert len(read) == MAX_WAITING * 2
