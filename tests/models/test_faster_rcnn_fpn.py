"""Faster R-CNN over a feature pyramid, narrow: the padding law of losses and detections, anchors and frozen norms."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import coco_resnet50_fpn
from jaxdet.checks import InputError
from jaxdet.config.parse import parse
from jaxdet.models.anchor_grid import make_anchor_grid
from jaxdet.nets.fpn_net import fpn_net
from jaxdet.recipes.stage import trainable_paths
from jaxdet.systems import build_detector, param_shapes, pyramid_anchors
from jaxdet.training.transfer import init_from
from jaxdet.types import Batch
from jaxdet.weights.resnet import torchvision_faster_rcnn_fpn
from tests.golden import r50fpn

pytestmark = pytest.mark.usefixtures("for_cpu")

CLASSES = ("a", "b", "c")
NARROW = {"channels": 4, "hidden": 8, "classes": 4}


def experiment():
    config = coco_resnet50_fpn.get_config()
    config.net.update(width=1 / 16, head_features=8, preprocessing="torchvision")
    config.rpn.train_proposals.update(pre_nms_top_n=40, post_nms_top_n=30)
    config.rpn.test_proposals.update(pre_nms_top_n=40, post_nms_top_n=30)
    config.head.roi_targets.batch_size = 16
    config.head.detections.max_detections = 20
    return parse(config.to_dict())


@functools.cache
def params():
    return jax.tree.map(jnp.asarray, torchvision_faster_rcnn_fpn(r50fpn.state_dict(3, **NARROW)))


def batch(sizes, height, width):
    """Images of random pixels in a bucket of numbers, each with two objects."""
    image = np.full((len(sizes), height, width, 3), 77, np.uint8)
    for row, (h, w) in enumerate(sizes):
        image[row, :h, :w] = np.random.default_rng(h).integers(0, 256, (h, w, 3))
    boxes = np.float32([[4, 6, 40, 30], [20, 10, 36, 33]])
    count = len(sizes)
    return Batch(
        image=jnp.asarray(image),
        image_size=jnp.asarray(sizes, jnp.float32),
        scale=jnp.full(count, 2.0),
        image_id=jnp.asarray([h for h, _ in sizes], jnp.int32),
        image_valid=jnp.ones(count, bool),
        gt_boxes=jnp.asarray(np.tile(boxes, (count, 1, 1))),
        gt_labels=jnp.asarray(np.tile([1, 3], (count, 1)), jnp.int32),
        gt_valid=jnp.ones((count, 2), bool),
        proposals=jnp.zeros((count, 0, 4)),
        proposals_valid=jnp.zeros((count, 0), bool),
    )


@functools.cache
def run():
    detector = build_detector(experiment(), CLASSES)

    @jax.jit
    def both(params, batch):
        return detector.loss(params, batch, jax.random.key(1)), detector.predict(params, batch)

    return both


def test_losses_and_detections_do_not_depend_on_bucket_and_batch():
    first, second = (70, 90), (48, 64)  # P5 has 3x3 and 2x2 cells, so the strides of the last level differ
    (_, alone_losses), alone = run()(params(), batch([first], 80, 96))
    (_, other_losses), _ = run()(params(), batch([second], 80, 96))
    (_, together_losses), together = run()(params(), batch([first, second], 112, 128))
    assert alone.valid.any()
    for name, loss in together_losses.items():
        np.testing.assert_allclose(loss, (alone_losses[name] + other_losses[name]) / 2, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(alone.labels[0], together.labels[0])
    np.testing.assert_allclose(alone.boxes[0], together.boxes[0], atol=1e-2)
    np.testing.assert_allclose(alone.scores[0], together.scores[0], atol=1e-4)


def test_bfloat16_activations_give_finite_losses_and_float32_outputs():
    config = experiment()
    net = dataclasses.replace(config.net, compute_dtype="bfloat16")
    detector = build_detector(dataclasses.replace(config, net=net), CLASSES)
    example = batch([(48, 64)], 48, 64)
    (loss, _), gradients = jax.eval_shape(
        jax.value_and_grad(detector.loss, has_aux=True), params(), example, jax.random.key(0)
    )
    assert loss.dtype == jnp.float32 and {leaf.dtype for leaf in jax.tree.leaves(gradients)} == {jnp.dtype("float32")}
    detections = jax.eval_shape(detector.predict, params(), example)
    assert detections.boxes.dtype == detections.scores.dtype == jnp.float32


def test_fine_tuning_starts_all_but_the_class_layers_from_the_coco_detector():
    source = torchvision_faster_rcnn_fpn(r50fpn.state_dict(3, channels=4, hidden=8, classes=91))
    fresh = jax.tree.map(
        lambda leaf: np.full(leaf.shape, 7, np.float32), param_shapes(build_detector(experiment(), CLASSES))
    )
    started = init_from(source, fresh)
    for name, layer in started.items():
        for leaf, value in layer.items():
            np.testing.assert_array_equal(value, 7 if name in ("cls_score", "bbox_pred") else source[name][leaf])


def test_stem_first_stage_and_norms_are_frozen():
    config = experiment()
    trainable = trainable_paths(build_detector(config, CLASSES), config.training.frozen)
    names = {path.split("/")[0] for path in trainable}
    assert not any(name.startswith(("conv1", "layer1_", "frozen_norm_")) for name in names)
    assert {"layer2_0_conv1", "layer4_2_conv3", "fpn_inner_0", "rpn_conv", "fc6", "cls_score"} <= names


@pytest.mark.parametrize(("size", "strides"), [((800, 1088), (61, 64)), ((37, 90), (64, 48))])
def test_the_last_levels_strides_are_torchvisions(size, strides):
    """torchvision's AnchorGenerator: the side of the padded image // the level's cells."""
    net = fpn_net(num_classes=1, num_anchors=3, width=1 / 64)
    cells = [np.int32(size)]
    for _ in range(6):
        cells.append((cells[-1] + 1) // 2)
    sizes = [jnp.asarray(c)[None] for c in cells[2:]]
    features = [jax.ShapeDtypeStruct((1, *c, 4), jnp.float32) for c in cells[2:]]
    base = pyramid_anchors(experiment().anchors)
    make = make_anchor_grid(net, base)

    @jax.jit
    def arrays(sizes):
        grid = make(features, sizes)
        assert grid.level_sizes == tuple(3 * h * w for h, w in cells[2:])
        return grid.anchors, grid.valid, grid.locations

    anchors, valid, locations = jax.device_get(arrays(sizes))
    assert valid.all() and locations[0] == sum(h * w for h, w in cells[2:])
    rows, columns = cells[-1]
    last = anchors[0, -3 * rows * columns :].reshape(rows, columns, 3, 4)
    for row, column in ((0, 0), (rows - 1, columns - 1)):
        shift = np.float32([column * strides[1], row * strides[0]] * 2)
        np.testing.assert_array_equal(last[row, column], base[-1] + shift)
    finest = anchors[0, : 3 * cells[2][0] * cells[2][1]].reshape(*cells[2], 3, 4)
    np.testing.assert_array_equal(finest[1, 2], base[0] + np.float32([8, 4, 8, 4]))


def test_the_first_anchors_are_torchvisions():
    anchors = pyramid_anchors(experiment().anchors)
    np.testing.assert_array_equal(anchors[0], [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]])
    np.testing.assert_array_equal(anchors[4], [[-362, -181, 362, 181], [-256, -256, 256, 256], [-181, -362, 181, 362]])


def test_wrong_sizes_and_pooling_are_refused():
    config = experiment()
    wrong = dataclasses.replace(config, anchors=dataclasses.replace(config.anchors, sizes=(32.0, 64.0)))
    with pytest.raises(InputError, match=r"anchors.sizes must have one size for each of 5 levels, got \(32.0, 64.0\)"):
        build_detector(wrong, CLASSES)
    wrong = dataclasses.replace(config, head=dataclasses.replace(config.head, roi_pooling="max_pool"))
    with pytest.raises(
        InputError, match="head.roi_pooling over a feature pyramid must be one of align, got 'max_pool'"
    ):
        build_detector(wrong, CLASSES)
