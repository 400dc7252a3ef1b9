"""The regressors against numpy.linalg.lstsq on the augmented system, with the original's whitening."""

import numpy as np
import pytest

from jaxdet.linear import bbox_ridge
from jaxdet.linear.bbox_ridge import fit_bbox_ridge

WIDTH, MEAN_NORM = 7, 5.0


def scene(images=12, seed=0, classes=(1, 2)):
    """pool5 and examples of some images, without any in one of them; deltas that depend on pool5."""
    rng = np.random.default_rng(seed)
    rule = rng.normal(0, 0.05, (3, WIDTH, 4))
    pool5, examples = [], []
    for i in range(images):
        count = 0 if i == 3 else int(rng.integers(1, 9))
        features = np.maximum(rng.normal(1, 2, (count, WIDTH)), 0).astype(np.float32)
        labels = rng.choice(classes, count).astype(np.int32)
        deltas = np.einsum("np,npd->nd", features, rule[labels]) + rng.normal(0.2, 0.05, (count, 4))
        pool5.append(features)
        examples.append((np.arange(count), labels, deltas))
    return pool5, examples


def lstsq(features, deltas):
    """Kernel [WIDTH,4] and bias [4] as in the original: whitened targets, regressors, whitening undone."""
    x = np.pad(features.astype(np.float64) * 20 / MEAN_NORM, ((0, 0), (0, 1)), constant_values=1)
    mean = deltas.mean(axis=0)
    d, v = np.linalg.eigh((deltas - mean).T @ (deltas - mean) / len(deltas))
    whiten = v @ np.diag(1 / np.sqrt(d + 0.001)) @ v.T
    y = (deltas - mean) @ whiten
    augmented = np.concatenate([x, np.sqrt(1000.0) * np.eye(WIDTH + 1)])
    weights = np.linalg.lstsq(augmented, np.concatenate([y, np.zeros((WIDTH + 1, 4))]), rcond=None)[0]
    weights = weights @ np.linalg.inv(whiten)
    return weights[:-1] * 20 / MEAN_NORM, weights[-1] + mean


@pytest.mark.parametrize("block", [1024, 3])  # 3: several blocks of examples, several strips of columns
def test_the_fit_equals_lstsq_on_the_augmented_system(monkeypatch, block):
    monkeypatch.setattr(bbox_ridge, "BLOCK", block)
    pool5, examples = scene()
    labels = np.concatenate([labels for _, labels, _ in examples])
    features, deltas = np.concatenate(pool5), np.concatenate([deltas for _, _, deltas in examples])
    for label in (1, 2):
        fitted = fit_bbox_ridge(pool5, examples, mean_norm=MEAN_NORM, label=label, name="thing")
        kernel, bias = lstsq(features[labels == label], deltas[labels == label])
        np.testing.assert_allclose(fitted["kernel"], kernel, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(fitted["bias"], bias, rtol=1e-4, atol=1e-6)
        assert fitted["kernel"].dtype == fitted["bias"].dtype == np.float32


def test_a_fit_to_fewer_examples_than_features():
    pool5, examples = scene(images=1, seed=2, classes=(2,))
    assert 0 < len(pool5[0]) < WIDTH
    fitted = fit_bbox_ridge(pool5, examples, mean_norm=MEAN_NORM, label=2, name="thing")
    kernel, bias = lstsq(pool5[0], examples[0][2])
    np.testing.assert_allclose(fitted["kernel"], kernel, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(fitted["bias"], bias, rtol=1e-4, atol=1e-6)


def test_a_class_without_examples_has_regressors_of_zero(caplog):
    fitted = fit_bbox_ridge(*scene(classes=(2,)), mean_norm=MEAN_NORM, label=1, name="ghost")
    assert fitted["kernel"].shape == (WIDTH, 4) and not fitted["kernel"].any() and not fitted["bias"].any()
    assert "ghost has no box regressor" in caplog.text


def test_features_of_other_rows_than_the_examples_are_refused():
    pool5, examples = scene()
    with pytest.raises(ValueError, match="rows of the examples, image by image, got"):
        fit_bbox_ridge(pool5[:-1], examples, mean_norm=MEAN_NORM, label=1, name="thing")
