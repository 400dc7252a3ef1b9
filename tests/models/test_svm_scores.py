import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.models.svm_scores import svm_scores


def test_margins_stand_behind_a_column_of_zeros():
    rng = np.random.default_rng(0)
    fc7, kernel, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 5, 4), (4, 3), (3,)))
    scores = np.asarray(svm_scores({"svm": {"kernel": kernel, "bias": bias}}, fc7))
    np.testing.assert_allclose(scores[..., 1:], fc7 @ kernel + bias, atol=1e-5)
    assert not scores[..., 0].any()
    np.testing.assert_allclose(svm_scores({"svm": {"kernel": kernel, "bias": bias}}, fc7[0]), scores[0], atol=1e-5)


def test_missing_svms_are_named():
    with pytest.raises(InputError, match="params must hold 'svm', got none; .*--config.head.scoring=softmax"):
        svm_scores({}, np.zeros((1, 4), np.float32))
