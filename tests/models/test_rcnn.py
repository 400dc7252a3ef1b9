"""R-CNN over a net of three matrices: detections against a plain loop; padding, batch and chunk change nothing."""

import dataclasses
import functools
import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.models.rcnn import rcnn, rcnn_features
from jaxdet.ops.warp import warp
from jaxdet.types import Batch, WindowBatch

CLASSES, SIDE, CHANNELS, FEATURES = 2, 12, 4, 5
SECTIONS = {
    "roi_targets": {"batch_size": 8, "positive_fraction": 0.25},
    "detections": {"score_threshold": 0.05, "nms_iou": 0.3, "max_detections": 20},
}


def init(key):
    keys = jax.random.split(key, 3)
    return {
        "conv1": {"kernel": jax.random.normal(keys[0], (48, CHANNELS)) * 0.2},
        "fc7": {"kernel": jax.random.normal(keys[1], (9 * CHANNELS, FEATURES)) * 0.4},
        "cls_score": {"kernel": jax.random.normal(keys[2], (FEATURES, CLASSES + 1))},
        "keep": jnp.float32(0.9),  # share of the features that dropout keeps
    }


def conv(params, crops):
    patches = crops.reshape(-1, 3, 4, 3, 4, 3).swapaxes(2, 3).reshape(-1, 3, 3, 48)
    return jax.nn.relu(patches @ params["conv1"]["kernel"])


def fc7(params, pool5, dropout_key):
    x = jax.nn.relu(pool5.reshape(pool5.shape[0], -1) @ params["fc7"]["kernel"])
    return (
        x if dropout_key is None else x * jax.random.bernoulli(dropout_key, params["keep"], x.shape).astype(jnp.float32)
    )


NET = types.SimpleNamespace(
    init=init,
    preprocess=lambda image: (image.astype(jnp.float32) - 120) / 60,
    conv=conv,
    fc7=fc7,
    classify=lambda params, x: x @ params["cls_score"]["kernel"],
    input_size=SIDE,
)


@functools.cache
def compiled(function):
    detector = rcnn(NET, **SECTIONS, context=1, chunk=4)
    functions = {"loss": jax.value_and_grad(detector.loss, has_aux=True), "predict": detector.predict}
    return jax.jit(functions[function])


PARAMS = init(jax.random.key(0))


def with_linear_stage(scale=0.05):
    """Return params with SVMs, and with regressors that move boxes differently for every class."""
    rng = np.random.default_rng(5)
    kernel = rng.normal(0, scale, (CLASSES, 9 * CHANNELS, 4)).astype(np.float32)
    svm = {"kernel": rng.normal(0, 1, (FEATURES, CLASSES)).astype(np.float32), "bias": np.float32([1.3, 0.9])}
    ridge = {"kernel": kernel, "bias": rng.normal(0, scale, (CLASSES, 4)).astype(np.float32)}
    return PARAMS | {"svm": svm, "bbox_ridge": ridge}


def image_batch(seed, size, bucket, *, objects=2, proposals=9, slots=12):
    """Return a batch of one random image in a bucket; pixels outside it and invalid proposals hold garbage."""
    rng = np.random.default_rng(seed)
    canvas = np.random.default_rng(99).integers(0, 255, (*bucket, 3), np.uint8)
    canvas[: size[0], : size[1]] = rng.integers(0, 255, (*size, 3), np.uint8)

    def boxes(count):
        corner = rng.uniform(0, 0.5, (count, 2)) * size[::-1]
        return np.concatenate([corner, corner + rng.uniform(0.2, 0.5, (count, 2)) * size[::-1]], axis=1)

    gt = boxes(objects)
    valid_boxes = np.concatenate([np.repeat(gt, 2, axis=0) + 1, boxes(proposals - 2 * objects)])
    garbage = np.random.default_rng(98).uniform(0, 30, (slots - proposals, 4))
    return Batch(
        image=canvas[None],
        image_size=np.float32([size]),
        scale=np.float32([1.5]),
        image_id=np.int32([seed]),
        image_valid=np.array([True]),
        gt_boxes=np.float32([np.pad(gt, ((0, 4 - objects), (0, 0)))]),
        gt_labels=np.int32([np.pad(1 + np.arange(objects) % CLASSES, (0, 4 - objects))]),
        gt_valid=np.array([np.arange(4) < objects]),
        proposals=np.concatenate([valid_boxes, garbage]).astype(np.float32)[None],
        proposals_valid=np.array([np.arange(slots) < proposals]),
    )


def stack(*batches):
    return jax.tree.map(lambda *rows: np.concatenate(rows), *batches)


def row(tree, i):
    return jax.tree.map(lambda x: np.asarray(x)[i], tree)


ALONE, LARGER = (40, 52), (48, 64)


def test_loss_does_not_depend_on_bucket_and_batch():
    loss, key = compiled("loss"), jax.random.key(7)
    alone = [loss(PARAMS, image_batch(3, (37, 50), ALONE), key), loss(PARAMS, image_batch(4, (40, 44), ALONE), key)]
    filler = dataclasses.replace(image_batch(5, (20, 20), LARGER, slots=17), image_valid=np.array([False]))
    both = stack(image_batch(3, (37, 50), LARGER, slots=17), image_batch(4, (40, 44), LARGER, slots=17), filler)
    expected = jax.tree.map(lambda a, b: (a + b) / 2, *alone)
    for ours, theirs in zip(jax.tree.leaves(loss(PARAMS, both, key)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert abs(alone[0][0][0] - alone[1][0][0]) > 1e-3


def test_samples_depend_only_on_step_and_image():
    loss, batch = compiled("loss"), image_batch(3, (37, 50), ALONE)
    (first, _), _ = loss(PARAMS, batch, jax.random.key(0))
    (again, _), _ = loss(PARAMS, batch, jax.random.key(0))
    (other_step, _), _ = loss(PARAMS, batch, jax.random.key(1))
    (other_image, _), _ = loss(PARAMS, dataclasses.replace(batch, image_id=np.int32([9])), jax.random.key(0))
    assert first == again and first != other_step and first != other_image


def test_image_without_proposals_and_objects_has_no_loss():
    empty = image_batch(3, (37, 50), ALONE)
    nothing = {"proposals_valid": np.zeros((1, 12), bool), "gt_valid": np.zeros((1, 4), bool)}
    (total, _), gradient = compiled("loss")(PARAMS, dataclasses.replace(empty, **nothing), jax.random.key(0))
    assert total == 0
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_half_of_the_crops_are_mirrored():
    # The net measures the left third of a crop: the one ground-truth box has two losses, mirrored or not.
    left = np.zeros((3, 3, CHANNELS, FEATURES), np.float32)
    left[:, 0] = 1.0
    params = PARAMS | {"fc7": {"kernel": left.reshape(-1, FEATURES)}, "keep": jnp.float32(1)}
    batch = dataclasses.replace(image_batch(3, (37, 50), ALONE, objects=1), proposals_valid=np.zeros((1, 12), bool))
    losses = [float(compiled("loss")(params, batch, jax.random.key(i))[0][0]) for i in range(30)]
    values, counts = np.unique(np.round(losses, 4), return_counts=True)
    assert len(values) == 2 and counts.min() >= 8


def window_batch(*seeds):
    """Return the first proposal of one random image per seed, labelled 0, 1, 2, 0, ..., as a WindowBatch."""
    batch = stack(*(image_batch(seed, (37, 50), ALONE) for seed in seeds))
    labels, row = np.arange(len(seeds), dtype=np.int32) % 3, np.arange(len(seeds), dtype=np.int32)
    first = {"proposals": batch.proposals[:, :1], "proposals_valid": np.ones((len(seeds), 1), bool)}
    return WindowBatch(**vars(batch) | first, labels=labels, row=row)


def test_loss_of_given_windows_is_their_mean_cross_entropy():
    params, batch, key = PARAMS | {"keep": jnp.float32(1)}, window_batch(3, 4, 5, 6), jax.random.key(2)
    losses = np.zeros((4, 2))  # of each window, as it is and mirrored
    for i in range(4):
        image, size = NET.preprocess(jnp.asarray(batch.image[i])), batch.image_size[i]
        crop = warp(image, size, batch.proposals[i], size=SIDE, context=1)
        for mirrored, pixels in enumerate((crop, crop[:, :, ::-1])):
            logits = np.asarray(NET.classify(params, fc7(params, conv(params, pixels), None)), np.float64)[0]
            losses[i, mirrored] = np.log(np.exp(logits).sum()) - logits[batch.labels[i]]
    got = float(compiled("loss")(params, batch, key)[0][0])
    means = [losses[range(4), list(choice)].mean() for choice in itertools.product((0, 1), repeat=4)]
    assert min(abs(got - mean) for mean in means) < 1e-5
    assert min(abs(a - b) for a, b in itertools.combinations(means, 2)) > 1e-3


def test_each_window_has_its_own_random_numbers_in_any_part_of_the_batch():
    batch, key = window_batch(3, 3, 3, 3), jax.random.key(2)
    batch = dataclasses.replace(batch, labels=np.ones(4, np.int32))  # four times the same window
    whole = float(compiled("loss")(PARAMS, batch, key)[0][0])
    alone = [float(compiled("loss")(PARAMS, row(batch, slice(i, i + 1)), key)[0][0]) for i in range(4)]
    assert len(set(alone)) >= 3
    np.testing.assert_allclose(whole, np.mean(alone), rtol=1e-5)


@functools.cache
def compiled_net():
    """Return (pool5, fc7) of the crops of a batch of one image, from the net and ops warp alone."""

    def run(batch):
        crops = warp(NET.preprocess(batch.image[0]), batch.image_size[0], batch.proposals[0], size=SIDE, context=1)
        pool5 = conv(PARAMS, crops)
        return pool5, fc7(PARAMS, pool5, None)

    return jax.jit(run)


def plain_detections(params, batch, most=100):
    """Return (label, score, box) by descending score: proposal by proposal, class by class, greedy suppression.

    Without SVMs the scores are those of the fine-tuned softmax, without regressors the boxes are not moved.
    """
    valid = batch.proposals_valid[0]
    boxes = batch.proposals[0][valid]
    pool5, features = (np.asarray(x)[valid] for x in compiled_net()(batch))
    if "svm" in params:
        scores = features @ params["svm"]["kernel"] + params["svm"]["bias"]
    else:
        odds = np.exp(features @ np.asarray(params["cls_score"]["kernel"]))
        scores = (odds / odds.sum(axis=1, keepdims=True))[:, 1:]
    height, width = batch.image_size[0]
    detections = []
    for k in range(CLASSES):
        deltas = np.zeros((len(boxes), 4))
        if "bbox_ridge" in params:
            kernel, bias = (params["bbox_ridge"][name][k] for name in ("kernel", "bias"))
            deltas = pool5.reshape(len(boxes), -1) @ kernel + bias
        side = boxes[:, 2:] - boxes[:, :2]
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + deltas[:, :2] * side
        half = side * np.exp(deltas[:, 2:]) / 2
        moved = np.clip(np.concatenate([centre - half, centre + half], axis=1), 0, [width, height, width, height])
        selected = []
        for i in np.argsort(-scores[:, k], kind="stable")[:most]:
            if scores[i, k] > 0.05 and all(iou(moved[i], moved[j]) <= 0.3 for j in selected):
                selected.append(i)
        detections += [(k + 1, scores[i, k], moved[i] / batch.scale[0]) for i in selected]
    return sorted(detections, key=lambda detection: -detection[1])


def iou(a, b):
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = max(width, 0) * max(height, 0)
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


def assert_detections_equal_a_plain_loop(predict, params, most=100):
    images = [(4, (40, 44)), (3, (37, 50))]
    detections = predict(params, stack(*(image_batch(*image, LARGER, slots=17) for image in images)))
    for i, image in enumerate(images):
        expected, got = plain_detections(params, image_batch(*image, ALONE), most), row(detections, i)
        assert len(expected) > 3 and {label for label, _, _ in expected} == {1, 2}
        assert got.valid.sum() == len(expected)
        np.testing.assert_array_equal(got.labels[got.valid], [label for label, _, _ in expected])
        np.testing.assert_allclose(got.scores[got.valid], [score for _, score, _ in expected], rtol=1e-4)
        np.testing.assert_allclose(got.boxes[got.valid], [box for _, _, box in expected], atol=1e-3)


def test_detections_equal_a_plain_loop_in_any_bucket_batch_and_chunk():
    # The last two of the five chunks are empty.
    assert_detections_equal_a_plain_loop(compiled("predict"), with_linear_stage())


def test_without_linear_stage_the_softmax_scores_the_proposals():
    softmax = rcnn(NET, **SECTIONS, context=1, chunk=4, scoring="softmax")
    assert_detections_equal_a_plain_loop(jax.jit(softmax.predict), PARAMS)


def test_detections_come_from_the_best_proposals_per_class():
    batch = image_batch(4, (40, 44), ALONE)
    few, every = (plain_detections(with_linear_stage(), batch, most) for most in (3, 100))
    assert len(few) < len(every)
    limited = SECTIONS | {"detections": SECTIONS["detections"] | {"pre_nms_per_class": 3}}
    predict = jax.jit(rcnn(NET, **limited, context=1, chunk=4).predict)
    assert_detections_equal_a_plain_loop(predict, with_linear_stage(), most=3)


def test_invalid_images_and_images_without_proposals_have_no_detections():
    batch = image_batch(3, (37, 50), LARGER, slots=17)
    filler = dataclasses.replace(batch, image_valid=np.array([False]))
    without = dataclasses.replace(batch, proposals_valid=np.zeros((1, 17), bool))
    assert not np.any(compiled("predict")(with_linear_stage(), stack(filler, without)).valid)


def test_features_do_not_depend_on_the_chunk_and_are_zero_where_invalid():
    batch = image_batch(3, (37, 50), ALONE)
    args = (PARAMS, batch, batch.proposals, batch.proposals_valid)
    pool5, features = jax.jit(rcnn_features(NET, context=1, chunk=5))(*args)
    assert pool5.shape == (1, 12, 3, 3, CHANNELS) and features.shape == (1, 12, FEATURES)
    expected_pool5, expected_features = compiled_net()(batch)
    np.testing.assert_allclose(pool5[0, :9], expected_pool5[:9], atol=1e-5)
    np.testing.assert_allclose(features[0, :9], expected_features[:9], atol=1e-5)
    assert not np.any(pool5[0, 9:]) and not np.any(features[0, 9:])


def test_unknown_options_and_missing_inputs_are_errors():
    with pytest.raises(InputError, match="config head.detections: no field 'nms'; did you mean 'nms_iou'"):
        rcnn(NET, roi_targets={}, detections={"nms": 0.3}, context=1)
    with pytest.raises(InputError, match="head.scoring must be one of svm, softmax, got 'svn'; did you mean 'svm'"):
        rcnn(NET, **SECTIONS, context=1, scoring="svn")
    batch = image_batch(3, (37, 50), ALONE)
    with pytest.raises(InputError, match="params must hold 'svm', got none; train with"):
        rcnn(NET, **SECTIONS, context=1).predict(PARAMS, batch)
    without = dataclasses.replace(batch, proposals=np.zeros((1, 0, 4)), proposals_valid=np.zeros((1, 0), bool))
    for function in (lambda m: m.predict(PARAMS, without), lambda m: m.loss(PARAMS, without, jax.random.key(0))):
        with pytest.raises(InputError, match="batches must hold proposals, got none"):
            function(rcnn(NET, **SECTIONS, context=1, scoring="softmax"))
