"""test_rcnn.py and test_fast_rcnn_svm.py run the stages."""

import numpy as np

from jaxdet.recipes.svm_stages import load_or_fit


def test_a_fit_is_saved(tmp_path):
    fits = []

    def fit():
        fits.append(1)
        return {"bias": np.float32([len(fits)])}

    for _ in range(2):
        np.testing.assert_array_equal(load_or_fit(tmp_path / "a.npz", fit)["bias"], np.float32([1]))
    assert len(fits) == 1
