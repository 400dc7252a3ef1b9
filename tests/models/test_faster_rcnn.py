"""Faster R-CNN as a whole: padding and batch change nothing, images without objects train, errors name the field."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.models.faster_rcnn import faster_rcnn
from jaxdet.models.rpn import region_proposal_network
from jaxdet.nets.region_net import region_net
from jaxdet.ops.anchors import anchor_valid, base_anchors, grid_anchors
from jaxdet.ops.boxes import inside
from jaxdet.ops.propose import propose
from jaxdet.ops.targets import roi_targets, rpn_targets
from jaxdet.types import Batch
from tests.models.small_net import small_net

pytestmark = pytest.mark.usefixtures("for_cpu")

RPN = {
    "targets": {"batch_size": 32},
    "train_proposals": {"pre_nms_top_n": 200, "post_nms_top_n": 50, "nms_iou": 0.7},
    "test_proposals": {"pre_nms_top_n": 100, "post_nms_top_n": 30, "nms_iou": 0.7},
    "min_size": 4.0,
}
HEAD = {
    "roi_targets": {"batch_size": 16},
    "detections": {"score_threshold": 0.05, "nms_iou": 0.3, "max_detections": 20},
}
ANCHORS = base_anchors(scales=(1.5, 3))

NET = small_net()
VGG16 = {"pool_rounding": "ceil", "dropout": 0.5, "compute_dtype": "float32"}


@functools.cache
def net(**changes):
    """A narrow VGG16."""
    sizes = {"num_classes": 3, "num_anchors": 6, "width": 1 / 16, "head_features": 16}
    return region_net(backbone="vgg16", **sizes, **VGG16 | changes)


@functools.cache
def compiled(function, net, roi_pooling="max_pool", **changes):
    """Return a detector's loss, its gradient or predict, compiled once per shape for all tests."""
    rpn = region_proposal_network(net, ANCHORS, **RPN)
    detector = faster_rcnn(net, rpn, **HEAD, roi_pooling=roi_pooling, **changes)
    functions = {
        "loss": detector.loss,
        "gradient": jax.value_and_grad(detector.loss, has_aux=True),
        "predict": detector.predict,
    }
    return jax.jit(functions[function])


@functools.cache
def params(net):
    # Output layers of larger std than 0.001, so that scores and boxes differ between RoIs.
    fresh = jax.jit(net.init)(jax.random.key(0))
    for i, name in enumerate(("rpn_cls_score", "rpn_bbox_pred", "cls_score", "bbox_pred")):
        key = jax.random.fold_in(jax.random.key(1), i)
        fresh[name]["kernel"] = jax.random.normal(key, fresh[name]["kernel"].shape) * 0.02
    return fresh


def image_batch(seed, size, bucket, *, objects=2, slots=4):
    """Return a batch of one random image of `size` in a bucket; the pixels outside it are random too."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (*size, 3), np.uint8)
    corner = rng.uniform(0, 0.5, (objects, 2)) * size[::-1]
    side = rng.uniform(0.25, 0.5, (objects, 2)) * size[::-1]
    gt = np.concatenate([corner, corner + side], axis=1)
    canvas = np.random.default_rng(99).integers(0, 255, (*bucket, 3), np.uint8)
    canvas[: size[0], : size[1]] = image
    return Batch(
        image=canvas[None],
        image_size=np.float32([size]),
        scale=np.float32([1.5]),
        image_id=np.int32([seed]),
        image_valid=np.array([True]),
        gt_boxes=np.float32([np.pad(gt, ((0, slots - objects), (0, 0)))]),
        gt_labels=np.int32([np.pad(1 + np.arange(objects) % 3, (0, slots - objects))]),
        gt_valid=np.array([np.arange(slots) < objects]),
        proposals=np.zeros((1, 0, 4), np.float32),
        proposals_valid=np.zeros((1, 0), bool),
    )


def stack(*batches):
    return jax.tree.map(lambda *rows: np.concatenate(rows), *batches)


def row(tree, i):
    return jax.tree.map(lambda x: np.asarray(x)[i], tree)


ALONE, IN_A_LARGER_BUCKET = (64, 112), (96, 144)


@pytest.mark.parametrize("roi_pooling", ["max_pool", "align"])
def test_losses_do_not_depend_on_bucket_and_batch(roi_pooling):
    loss, weights, key = compiled("loss", NET, roi_pooling), params(NET), jax.random.key(7)
    images = (3, (61, 100)), (4, (50, 109))
    (_, alone), (_, other) = (loss(weights, image_batch(*image, ALONE), key) for image in images)
    both = stack(*(image_batch(*image, IN_A_LARGER_BUCKET) for image in images))
    _, together = loss(weights, both, key)
    for name in alone:
        assert alone[name] != other[name]
        np.testing.assert_allclose(together[name], (alone[name] + other[name]) / 2, rtol=1e-4, atol=1e-6, err_msg=name)


def test_losses_and_gradients_of_vgg16_do_not_depend_on_the_bucket():
    loss, weights, key = compiled("gradient", net()), params(net()), jax.random.key(7)
    (_, alone), gradient = loss(weights, image_batch(3, (61, 100), ALONE), key)
    (_, larger), same_gradient = loss(weights, image_batch(3, (61, 100), IN_A_LARGER_BUCKET), key)
    for name in alone:
        np.testing.assert_allclose(larger[name], alone[name], rtol=1e-4, atol=1e-6, err_msg=name)
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))
    for ours, theirs in zip(jax.tree.leaves(same_gradient), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * scale)


NETS = [("vgg16", "max_pool"), ("small", "max_pool"), ("small", "align")]


@pytest.mark.parametrize(("backbone", "roi_pooling"), NETS)
def test_detections_do_not_depend_on_bucket_and_batch(backbone, roi_pooling):
    tested_net = net() if backbone == "vgg16" else NET
    predict, weights = compiled("predict", tested_net, roi_pooling), params(tested_net)
    alone = row(predict(weights, image_batch(3, (61, 100), ALONE)), 0)
    both = stack(image_batch(4, (90, 140), IN_A_LARGER_BUCKET), image_batch(3, (61, 100), IN_A_LARGER_BUCKET))
    together = row(predict(weights, both), 1)
    assert alone.valid.sum() > 5
    np.testing.assert_array_equal(together.valid, alone.valid)
    np.testing.assert_array_equal(together.labels, alone.labels)
    np.testing.assert_allclose(together.boxes, alone.boxes, atol=1e-3)
    np.testing.assert_allclose(together.scores, alone.scores, atol=1e-5)


def test_samples_do_not_depend_on_the_bucket():
    weights = params(NET)

    @jax.jit
    def samples(batch):
        features, size = NET.features(weights, NET.preprocess(batch.image), batch.image_size)
        logits, deltas = NET.rpn(weights, features)
        anchors = jnp.asarray(grid_anchors(ANCHORS, features.shape[1:3], stride=16))
        valid = anchor_valid(features.shape[1:3], size[0], 6)
        image_size, gt = batch.image_size[0], (batch.gt_boxes[0], batch.gt_valid[0])
        inner = valid & inside(anchors, image_size)
        anchor_targets = rpn_targets(jax.random.key(1), anchors, inner, *gt, batch_size=32)
        proposals = propose(
            logits[0, :, 1] - logits[0, :, 0], deltas[0], anchors, valid, image_size, jnp.float32(6),
            **RPN["train_proposals"],
        )  # fmt: skip
        rois = roi_targets(jax.random.key(2), proposals, gt[0], batch.gt_labels[0], gt[1], batch_size=8)
        return anchor_targets.label, valid, rois

    def samples_in(bucket):
        label, valid, rois = samples(image_batch(3, (61, 100), bucket))
        return np.asarray(label)[np.asarray(valid)], rois

    (label, rois), (same_label, same_rois) = samples_in(ALONE), samples_in(IN_A_LARGER_BUCKET)
    assert (label >= 0).sum() > 16 and rois.valid.sum() == 8
    np.testing.assert_array_equal(same_label, label)
    np.testing.assert_array_equal(same_rois.label, rois.label)
    np.testing.assert_allclose(same_rois.boxes, rois.boxes, atol=1e-3)


def test_bfloat16_activations_give_nearly_the_same_losses_and_float32_gradients():
    batch, key = image_batch(3, (61, 100), ALONE), jax.random.key(0)
    (_, exact), _ = compiled("gradient", net())(params(net()), batch, key)
    (_, rough), gradient = compiled("gradient", net(compute_dtype="bfloat16"))(params(net()), batch, key)
    np.testing.assert_allclose(rough["objectness_loss"], exact["objectness_loss"], rtol=0.05)
    for leaf in jax.tree.leaves(gradient):
        assert leaf.dtype == jnp.float32 and np.isfinite(leaf).all()


def test_boxes_are_in_pixels_of_the_original_image():
    detections = row(compiled("predict", NET)(params(NET), image_batch(3, (61, 100), ALONE)), 0)
    right, bottom = detections.boxes[:, 2:].max(axis=0)
    assert right <= 100 / 1.5 + 1e-4 and bottom <= 61 / 1.5 + 1e-4


def test_image_without_objects_trains_without_box_loss():
    empty = image_batch(5, (60, 100), ALONE, objects=0)
    (total, metrics), gradient = compiled("gradient", net())(params(net()), empty, jax.random.key(0))
    assert np.isfinite(total) and metrics["objectness_loss"] > 0 and metrics["class_loss"] > 0
    assert metrics["rpn_box_loss"] == 0 and metrics["box_loss"] == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_invalid_images_change_nothing_and_have_no_detections():
    real, filler = image_batch(3, (61, 100), ALONE), image_batch(4, (50, 90), ALONE)
    filler = dataclasses.replace(filler, image_valid=np.array([False]))
    loss, predict = compiled("loss", NET), compiled("predict", NET)
    alone, _ = loss(params(NET), real, jax.random.key(0))
    padded, _ = loss(params(NET), stack(real, filler), jax.random.key(0))
    np.testing.assert_allclose(padded, alone, rtol=1e-5)
    larger = image_batch(3, (61, 100), IN_A_LARGER_BUCKET), image_batch(4, (50, 90), IN_A_LARGER_BUCKET)
    both = dataclasses.replace(stack(*larger), image_valid=np.array([True, False]))
    valid = predict(params(NET), both).valid  # a shape of another test: nothing is compiled
    assert valid[0].any() and not valid[1].any()


def test_samples_depend_only_on_step_and_image():
    loss = compiled("loss", NET)
    batch = image_batch(3, (61, 100), ALONE)
    first, _ = loss(params(NET), batch, jax.random.key(0))
    again, _ = loss(params(NET), batch, jax.random.key(0))
    other_step, _ = loss(params(NET), batch, jax.random.key(1))
    other_image, _ = loss(params(NET), dataclasses.replace(batch, image_id=np.int32([9])), jax.random.key(0))
    assert first == again and first != other_step and first != other_image


def test_delta_std_scales_the_boxes():
    batch = image_batch(3, (61, 100), ALONE)
    plain = compiled("predict", NET)(params(NET), batch)
    changed = compiled("predict", NET, delta_std=(0.2, 0.2, 0.4, 0.4))(params(NET), batch)
    assert not np.allclose(plain.boxes, changed.boxes)


def test_inclusive_boxes_add_an_original_pixel_to_detections():
    batch = image_batch(3, (61, 100), ALONE)
    raw, whole = (
        compiled("predict", NET, **changes)(params(NET), batch) for changes in ({}, {"inclusive_boxes": True})
    )
    limit = np.float32([100, 61, 100, 61]) / 1.5
    np.testing.assert_allclose(whole.boxes, np.minimum(np.add(raw.boxes, [0, 0, 1, 1]), limit), atol=1e-4)
    np.testing.assert_array_equal(whole.scores, raw.scores)


def test_inclusive_boxes_train_on_ground_truth_without_its_last_pixel():
    """With the pixel added to the ground truth beforehand the loss is that of exclusive boxes."""
    batch = image_batch(3, (61, 100), ALONE)
    larger = dataclasses.replace(batch, gt_boxes=batch.gt_boxes + np.float32([0, 0, 1.5, 1.5]))
    expected, _ = compiled("loss", NET)(params(NET), batch, jax.random.key(0))
    inclusive = compiled("loss", NET, inclusive_boxes=True)
    np.testing.assert_allclose(inclusive(params(NET), larger, jax.random.key(0))[0], expected, rtol=1e-5)
    assert inclusive(params(NET), batch, jax.random.key(0))[0] != expected


def test_unknown_options_are_errors():
    rpn = region_proposal_network(NET, ANCHORS, **RPN)
    wrong = HEAD | {"detections": HEAD["detections"] | {"nms_iuo": 0.3}}
    with pytest.raises(InputError, match="config head.detections: no field 'nms_iuo'; did you mean 'nms_iou'"):
        faster_rcnn(NET, rpn, **wrong)
    with pytest.raises(InputError, match="head.roi_pooling must be one of max_pool, align, got 'maxpool'; did you"):
        faster_rcnn(NET, rpn, **HEAD, roi_pooling="maxpool")
    with pytest.raises(InputError, match="config rpn.targets: no field 'batchsize'; did you mean 'batch_size'"):
        region_proposal_network(NET, ANCHORS, **RPN | {"targets": {"batchsize": 32}})
    with pytest.raises(InputError, match="rpn.box_normaliser must be one of sampled, locations, got 'anchors'"):
        region_proposal_network(NET, ANCHORS, **RPN, box_normaliser="anchors")
    with pytest.raises(ValueError, match="net must have an RPN, got num_anchors=0"):
        region_proposal_network(dataclasses.replace(NET, rpn=None), ANCHORS, **RPN)
