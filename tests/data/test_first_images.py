"""The first images of a split are a data set of their own."""

import types

import numpy as np
import pytest

from jaxdet.data.first_images import FirstImages


class Numbers:
    class_names, names = ("a",), ["x", "y", "z"]
    image_sizes, object_counts, fingerprint = np.ones((3, 2), np.int32), np.arange(3, dtype=np.int32), "abc"

    def __len__(self):
        return 3

    def __getitem__(self, i):
        return types.SimpleNamespace(name=self.names[i])

    annotations = __getitem__


def test_the_first_images_have_their_own_fingerprint_and_end():
    two = FirstImages(Numbers(), 2)
    assert (len(two), two.names, two.object_counts.tolist(), two.fingerprint) == (2, ["x", "y"], [0, 1], "abc_2")
    assert (two[1].name, two.annotations(0).name) == ("y", "x")
    with pytest.raises(IndexError):
        two[2]
    assert len(FirstImages(Numbers(), 9)) == 3
