"""Mining against a plain fit to everything, and its rules one by one."""

import importlib.util

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from jaxdet.checks import InputError
from jaxdet.io.keyed_folder import save_arrays
from jaxdet.linear import svm
from jaxdet.linear.regions import Regions
from jaxdet.linear.svm import fit_svms

WIDTH = 8


def regions(labels, overlaps):
    labels = np.array(labels, np.int32)
    return Regions(np.zeros((len(labels), 4), np.float32), labels, np.array(overlaps, np.float32))


def scene(images=8, seed=0, planted=None):
    """Class 1 lies along axis 0 and class 2 along axis 1, proposals elsewhere; near ones overlap their object.

    `planted`: the image where background lies that looks like class 1, along axes 0 and 2.
    """
    rng = np.random.default_rng(seed)
    features, known = [], []
    for i in range(images):
        x = np.abs(rng.normal(0, 0.3, (44, WIDTH)))
        x[:2, 0] += 3
        x[2:4, 1] += 3
        x[4:, 4:] += rng.uniform(0, 2, (40, 4))
        x[4:8, 0] += 2.5  # halfway off an object of class 1
        if i == planted:
            x[8:20, 0] += 3
            x[8:20, 2] += 2
        overlaps = np.zeros((44, 2))
        overlaps[:2, 0] = overlaps[2:4, 1] = 1
        overlaps[4:8, 0] = 0.4
        features.append(x.astype(np.float32))
        known.append(regions([1, 1, 2, 2] + [0] * 40, overlaps))
    return features, known


def scores_of(fitted, features):
    return np.concatenate(features) @ fitted["kernel"] + fitted["bias"]


def fit_to_everything(features, known, k):
    """Class k + 1's SVM with every negative of every image, the recipe's parameters written out."""
    scale = 20 / np.mean(np.linalg.norm(np.concatenate(features), axis=1))
    x = np.concatenate(features).astype(np.float64) * scale
    labels, overlaps = (np.concatenate([getattr(r, name) for r in known]) for name in ("labels", "overlaps"))
    used = (labels == k + 1) | (overlaps[:, k] < 0.3)
    sign = np.where(labels == k + 1, 1, -1)[used]
    fitted = LinearSVC(
        loss="hinge", dual=True, C=1e-3, intercept_scaling=10, class_weight={1: 2, -1: 1}, tol=1e-5, max_iter=10**6
    ).fit(x[used], sign)
    return fitted.coef_[0] * scale, fitted.intercept_[0]


def test_finds_a_planted_hard_negative_that_the_first_image_lacks():
    features, known = scene(planted=5)
    mined = fit_svms(features, known, class_names="AB")
    blind = fit_svms(features[:1] * 8, known[:1] * 8, class_names="AB")
    assert mined["kernel"].shape == (WIDTH, 2) and mined["kernel"].dtype == mined["bias"].dtype == np.float32
    planted, objects = slice(5 * 44 + 8, 5 * 44 + 20), np.concatenate([r.labels for r in known]) == 1
    assert scores_of(blind, features)[planted, 0].mean() > -0.5
    assert scores_of(mined, features)[planted, 0].mean() < scores_of(blind, features)[planted, 0].mean() - 0.3
    assert scores_of(mined, features)[objects, 0].min() > scores_of(mined, features)[planted, 0].max()
    # what was never added or was dropped is beyond the margin: it would not have changed the SVM
    for k in range(2):
        kernel, bias = fit_to_everything(features, known, k)
        everything = np.concatenate(features) @ kernel + bias
        np.testing.assert_allclose(scores_of(mined, features)[:, k], everything, atol=0.005)


def test_is_repeatable_and_the_seed_is_all_that_is_random():
    features, known = scene(images=4)
    first, again, other = (fit_svms(features, known, class_names="AB", seed=seed) for seed in (3, 3, 4))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])
    # another seed stops elsewhere near the one minimum
    np.testing.assert_allclose(scores_of(other, features), scores_of(first, features), atol=0.005)


def miner_of(features, known):
    positives = svm._positives(known, 2)[0]
    return svm._ClassSvm("A", positives, features, 20 / np.linalg.norm(np.concatenate(features), axis=1).mean(), 0)


def test_easy_negatives_are_dropped_and_hard_ones_stay():
    features, known = scene(images=2)
    miner = miner_of(features, known)
    miner.add(0, np.arange(2, 44))
    miner.fit()
    scores = features[0] * miner._scale @ miner.kernel + miner.bias
    kept = [row for row in range(2, 44) if scores[row] >= -1.2]
    assert 0 < len(kept) < 42
    np.testing.assert_array_equal(miner.negatives, [(0, row) for row in kept])
    assert miner.added == 0


def test_only_hard_regions_far_from_the_object_are_added(monkeypatch):
    features, known = scene(images=2)
    added = []
    add = svm._ClassSvm.add
    monkeypatch.setattr(svm._ClassSvm, "add", lambda self, i, rows: (added.append((self, i, rows)), add(self, i, rows)))
    fits = []
    fit = svm._ClassSvm.fit
    monkeypatch.setattr(
        svm._ClassSvm, "fit", lambda self: (fit(self), fits.append((self.name, self.kernel, self.bias)))
    )
    fit_svms(features, known, class_names="AB")
    (_, _, first), (miner, image, later) = (call for call in added if call[0].name == "A")
    np.testing.assert_array_equal(first, [2, 3, *range(8, 44)])  # all but class 1 and what overlaps it by 0.4
    _, kernel, bias = next(call for call in fits if call[0] == "A")
    scores = features[1] * miner._scale @ kernel + bias
    expected = [row for row in range(44) if scores[row] > -1.0001 and known[1].overlaps[row, 0] < 0.3]
    assert image == 1 and 0 < len(expected) < 38
    np.testing.assert_array_equal(later, expected)


def test_it_is_fitted_anew_after_more_than_so_many_negatives(monkeypatch):
    features, known = scene(images=6, planted=3)
    fits = []
    fit = svm._ClassSvm.fit
    monkeypatch.setattr(svm._ClassSvm, "fit", lambda self: (fits.append((self.name, self.added)), fit(self)))
    monkeypatch.setattr(svm, "RETRAIN_AFTER", 10)
    fit_svms(features, known, class_names="AB")
    mine = [added for name, added in fits if name == "A"]
    assert mine[0] == 38 and len(mine) > 2 and all(added > 10 for added in mine[1:-1])


def test_killed_in_the_middle_it_goes_on_there_and_ends_the_same(monkeypatch, tmp_path):
    features, known = scene(images=7, planted=5)
    monkeypatch.setattr(svm, "SAVE_EVERY", 4)
    monkeypatch.setattr(svm, "RETRAIN_AFTER", 10)
    whole = fit_svms(features, known, class_names="AB")

    def save_and_die(path, arrays):
        save_arrays(path, arrays)
        raise KeyboardInterrupt

    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(svm, "save_arrays", save_and_die)
        fit_svms(features, known, class_names="AB", draft=tmp_path / "begun.npz")
    images = []
    add = svm._ClassSvm.add
    monkeypatch.setattr(svm._ClassSvm, "add", lambda self, i, rows: (images.append(i), add(self, i, rows)))
    again = fit_svms(features, known, class_names="AB", draft=tmp_path / "begun.npz")
    assert sorted(set(images)) == [4, 5, 6]
    for name, array in whole.items():
        np.testing.assert_array_equal(again[name], array)


def test_a_class_without_positives_or_negatives_is_never_detected(caplog):
    features, known = scene(images=3)
    known = [regions(r.labels, np.pad(r.overlaps, ((0, 0), (0, 1)))) for r in known]
    fitted = fit_svms(features, known, class_names="ABC")
    assert not fitted["kernel"][:, 2].any() and fitted["bias"][2] == -1e9
    assert (scores_of(fitted, features)[:, 2] < -1e8).all() and (fitted["bias"][:2] > -100).all()
    assert [r.args for r in caplog.records if "no SVM" in r.message] == [("C", "0 positives, 0 negatives")]
    only_objects = fit_svms([np.ones((2, WIDTH), np.float32)], [regions([1, 1], [[1], [1]])], class_names="A")
    assert only_objects["bias"][0] == -1e9


def test_images_without_regions_are_passed_over():
    features, known = scene(images=3)
    nothing = regions([], np.zeros((0, 2)))
    padded = fit_svms([np.zeros((0, WIDTH), np.float32), *features], [nothing, *known], class_names="AB")
    objects = np.concatenate([r.labels for r in known]) == 1
    scores = scores_of(padded, features)[:, 0]
    assert scores[objects].min() > scores[~objects].min() and np.isfinite(padded["kernel"]).all()


def test_features_of_other_images_are_refused():
    features, known = scene(images=3)
    with pytest.raises(ValueError, match="features must be of 3 images, got 2"):
        fit_svms(features[:2], known, class_names="AB")


def test_missing_scikit_learn_is_an_error_with_its_extra(monkeypatch):
    svm.check_installed()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r'got none installed; pip install "jaxdet\[rcnn\]"'):
        svm.check_installed()
