"""The whole training step against a second implementation from the papers: tests/oracle, plain numpy in float64.

The oracle computes each image alone, jaxdet both in one bucket. Their sizes are odd, so that every pooling has a last
row or column of its own. One has no ground truth; the other has a box with two equally good anchors, one that three
anchors touch and one that none does. The errors of float32 are 5e-6 for the losses, 2e-5 for gradients and 6e-5 for the
change of a parameter (1e-6 of the parameter itself).
"""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdet.models.faster_rcnn import faster_rcnn
from jaxdet.models.rpn import region_proposal_network
from jaxdet.nets.layers.pooling import max_pool_2x2
from jaxdet.nets.region_net import region_net
from jaxdet.ops.anchors import anchor_valid, base_anchors, grid_anchors
from jaxdet.ops.boxes import inside
from jaxdet.ops.propose import propose
from jaxdet.ops.targets import roi_targets, rpn_targets
from jaxdet.training import state
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.sharding import data_mesh
from jaxdet.training.step import make_train_step
from jaxdet.types import Batch
from tests.oracle import net as oracle_net
from tests.oracle import sgd
from tests.oracle.detector import Image

pytestmark = pytest.mark.usefixtures("for_cpu")

SIZES, BUCKET, GRID, SLOTS = ((83, 117), (71, 127)), (96, 144), (6, 9), 6
GT_BOXES = np.float32([[24, 16, 56, 48], [31, 10, 95, 72], [60, 30, 92.5, 60], [0, 0, 12, 10], [0, 0, 7, 7]])
GT_LABELS = np.int32([1, 3, 2, 1, 3])
SCALE, MIN_SIZE, RATE = 1.5, 4.0, 2e-3
MARGIN = 5e-5  # of every pre-activation from 0, far more than float32's rounding error
ANCHOR_SCALES = (2, 4)
PROPOSALS = {"pre_nms_top_n": 100, "post_nms_top_n": 60, "nms_iou": 0.7}
BIASES = pathlib.Path(__file__).parents[1] / "golden" / "oracle_biases.npz"  # from make_oracle_biases.py
ALL = {"anchors": (324, 1.0), "rois": (66, 1.0)}  # (batch size, positive fraction)
SOME = {"anchors": (24, 0.125), "rois": (16, 0.25)}  # fewer than there are, positive ones too


def section(sampling):
    return {"batch_size": sampling[0], "positive_fraction": sampling[1]}


@functools.cache
def net():
    return region_net(backbone="vgg16", num_classes=3, num_anchors=6, width=1 / 16, head_features=16, dropout=0.0)


def detector(sampling):
    rpn = region_proposal_network(
        net(),
        base_anchors(scales=ANCHOR_SCALES),
        targets=section(sampling["anchors"]),
        train_proposals=PROPOSALS,
        test_proposals=PROPOSALS,
        min_size=MIN_SIZE,
    )
    return faster_rcnn(
        net(),
        rpn,
        roi_targets=section(sampling["rois"]),
        detections={"score_threshold": 0.05, "nms_iou": 0.3, "max_detections": 10},
    )


def random_params():
    """Return random parameters with activations near 1 and with deltas, scores and biases that matter."""
    rng = np.random.default_rng(0)
    shapes = state.flatten(jax.eval_shape(net().init, jax.random.key(0)))
    params = {}
    for path, leaf in shapes.items():
        gain = {"conv1_1/kernel": 1 / 64, "rpn_bbox_pred/kernel": 0.2}.get(path, 1.0)
        fan_in = np.prod(leaf.shape[:-1]) if path.endswith("kernel") else 200
        params[path] = np.float32(rng.normal(0, gain * np.sqrt(2 / fan_in), leaf.shape))
    return params


@functools.cache
def flat_params():
    """Return random_params() with biases that keep the pre-activations of every ReLU away from 0."""
    with np.load(BIASES) as biases:
        return random_params() | dict(biases)


@functools.cache
def images():
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]


def batch():
    """Return both images in their bucket, with garbage around them."""
    canvas = np.random.default_rng(2).integers(0, 256, (2, *BUCKET, 3), np.uint8)
    for row, image in zip(canvas, images(), strict=True):
        row[: image.shape[0], : image.shape[1]] = image
    gt_boxes, gt_labels = np.zeros((2, SLOTS, 4), np.float32), np.zeros((2, SLOTS), np.int32)
    gt_boxes[0, : len(GT_BOXES)], gt_labels[0, : len(GT_LABELS)] = GT_BOXES, GT_LABELS
    arrays = Batch(
        image=canvas,
        image_size=np.float32(SIZES),
        scale=np.float32([SCALE, SCALE]),
        image_id=np.int32([4, 7]),
        image_valid=np.ones(2, bool),
        gt_boxes=gt_boxes,
        gt_labels=gt_labels,
        gt_valid=gt_labels > 0,
        proposals=np.zeros((2, 0, 4), np.float32),
        proposals_valid=np.zeros((2, 0), bool),
    )
    return jax.tree.map(jnp.asarray, arrays)


def oracle_images(params):
    """Return the oracle's two images, before any sampling."""
    truth = (GT_BOXES, GT_LABELS), (GT_BOXES[:0], GT_LABELS[:0])
    options = {"scales": ANCHOR_SCALES, "min_size": MIN_SIZE * SCALE} | PROPOSALS
    return [Image(params, image, *gt, **options) for image, gt in zip(images(), truth, strict=True)]


def mean_losses_and_gradients(both):
    results = [image.losses_and_gradients() for image in both]
    return jax.tree.map(lambda *values: sum(values) / len(values), *results)


def assert_losses(metrics, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=5e-5, err_msg=name)


def assert_arrays(got, expected, tolerance):
    """Assert each array within `tolerance` of its largest expected value."""
    assert got.keys() == expected.keys()
    for path, value in expected.items():
        atol = tolerance * np.abs(value).max()
        assert atol > 0, path
        np.testing.assert_allclose(np.asarray(got[path], np.float64), value, rtol=0, atol=atol, err_msg=path)


def test_losses_over_all_anchors_and_proposals_equal_the_oracle():
    params = state.unflatten(jax.tree.map(jnp.asarray, flat_params()))
    total, metrics = jax.jit(detector(ALL).loss)(params, batch(), jax.random.key(0))
    losses, _ = mean_losses_and_gradients(oracle_images(flat_params()))
    assert_losses(metrics, losses)
    np.testing.assert_allclose(total, sum(losses.values()), rtol=1e-5)


def test_two_steps_of_caffes_sgd_across_a_learning_rate_drop_equal_the_oracle():
    """jaxdet samples; the oracle checks that the sample is legal and trains on the same anchors and RoIs."""
    store_gradient = optax.GradientTransformation(optax.tree.zeros_like, lambda gradient, *_: (gradient, gradient))
    caffes_sgd, schedule = optimizer()
    tx = optax.chain(store_gradient, caffes_sgd)
    train_step = make_train_step(loss_and_samples, tx, data_mesh())
    start = jax.tree.map(jnp.asarray, flat_params())
    now = state.create(state.unflatten(start), tx, jax.random.key(0), trainable=lambda path: True)
    params = {path: value.astype(np.float64) for path, value in flat_params().items()}
    velocity = {path: np.zeros(value.shape) for path, value in params.items()}
    for step in range(2):
        now, metrics = train_step(now, batch(), schedule(step))
        both = oracle_images(params)
        for i, image in enumerate(both):
            keep_sample(image, *jax.tree.map(lambda x, i=i: np.asarray(x[i]), metrics["samples"]))
        losses, gradients = mean_losses_and_gradients(both)
        for image in both:
            for layer, value in image.net.preactivations.items():
                assert np.abs(value).min() > MARGIN, layer
        assert_losses(metrics, losses)
        assert_arrays(now.opt_state[0], gradients, 1e-4)
        sgd.step(params, velocity, gradients, rate=RATE if step < 1 else 0.1 * RATE)
        moved = {path: np.asarray(value, np.float64) - flat_params()[path] for path, value in now.trainable.items()}
        assert_arrays(moved, {path: params[path] - flat_params()[path] for path in params}, 5e-4)


def optimizer():
    return make_optimizer(
        steps=2, name="sgd", learning_rate=RATE, schedule="step", boundaries=(1,), decay=0.1,
        weight_decay=5e-4, bias_learning_rate_factor=2.0,
    )  # fmt: skip


def loss_and_samples(params, batch, key):
    """Return the loss and its samples: of the keys split per image id the first is the RPN's, the second the RoIs'."""
    total, metrics = detector(SOME).loss(params, batch, key)
    params = jax.lax.stop_gradient(params)  # less to trace
    features, size = net().features(params, net().preprocess(batch.image), batch.image_size)
    anchors = jnp.asarray(grid_anchors(base_anchors(scales=ANCHOR_SCALES), GRID, stride=16))

    def sample(logits, deltas, size, row):
        rpn_key, roi_key, _ = jax.random.split(jax.random.fold_in(key, row.image_id), 3)
        valid = anchor_valid(GRID, size, 6)
        trained = valid & inside(anchors, row.image_size)
        labels = rpn_targets(rpn_key, anchors, trained, row.gt_boxes, row.gt_valid, **section(SOME["anchors"]))
        objectness = logits[:, 1] - logits[:, 0]
        proposals = propose(objectness, deltas, anchors, valid, row.image_size, MIN_SIZE * row.scale, **PROPOSALS)
        rois = roi_targets(roi_key, proposals, row.gt_boxes, row.gt_labels, row.gt_valid, **section(SOME["rois"]))
        return labels, rois

    samples = jax.vmap(sample)(*net().rpn(params, features), size, batch)
    return total, metrics | {"samples": samples}


def keep_sample(image, anchor_sample, roi_sample):
    """Make the oracle train on jaxdet's sample, after checking that the recipe allows it."""
    rows, columns = image.features.shape[:2]
    label = anchor_sample.label.reshape(*GRID, -1)
    assert (label[rows:] == -1).all() and (label[:, columns:] == -1).all()  # none outside the image
    label = label[:rows, :columns].reshape(-1)
    anchors = np.flatnonzero(label >= 0)
    np.testing.assert_array_equal(label[anchors], image.anchor_label[anchors])
    assert_legal_counts(label[anchors], image.anchor_label, *SOME["anchors"])

    boxes, label, deltas = (x[roi_sample.valid] for x in (roi_sample.boxes, roi_sample.label, roi_sample.deltas))
    distance = np.abs(boxes[:, None] - image.rois).max(axis=2)
    rois = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 1e-3 and len(set(rois)) == len(rois)
    np.testing.assert_array_equal(label, image.roi_label[rois])
    np.testing.assert_allclose(deltas, image.roi_deltas[rois], atol=1e-3)
    assert_legal_counts(np.minimum(label, 1), np.minimum(image.roi_label, 1), *SOME["rois"])
    image.keep(anchors, rois)


def assert_legal_counts(sampled, candidates, size, fraction):
    """Assert as many positives as exist and the fraction allows, and negatives in all other slots."""
    positive = min((candidates == 1).sum(), int(size * fraction))
    assert (sampled == 1).sum() == positive
    assert (sampled == 0).sum() == min((candidates == 0).sum(), size - positive)


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (7, 9), (6, 3)])
def test_ceil_pooling_of_odd_sizes_equals_a_plain_loop(size):
    rng = np.random.default_rng(4)
    x = np.maximum(rng.normal(size=(*size, 3)), 0).astype(np.float32)
    cotangent = rng.normal(size=(-(-size[0] // 2), -(-size[1] // 2), 3)).astype(np.float32)
    expected, place = oracle_net.max_pool(x)
    expected_gradient = oracle_net.max_pool_backward(x.shape, place, cotangent)
    padded = np.zeros((1, 8, 10, 3), np.float32)
    padded[0, : size[0], : size[1]] = x

    def pooled(x):
        y, got_size = max_pool_2x2(x, jnp.asarray([size]), rounding="ceil")
        return y[0, : len(cotangent), : cotangent.shape[1]], got_size

    got, backward, got_size = jax.vjp(pooled, jnp.asarray(padded), has_aux=True)
    np.testing.assert_array_equal(got_size, [cotangent.shape[:2]])
    np.testing.assert_array_equal(got, expected)
    gradient = np.asarray(backward(jnp.asarray(cotangent))[0])[0, : size[0], : size[1]]
    np.testing.assert_array_equal(gradient[x > 0], expected_gradient[x > 0])  # at 0 the ReLU has no gradient
