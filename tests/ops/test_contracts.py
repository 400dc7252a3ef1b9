"""Every op checks its arrays first: a wrong shape or dtype is an error that names op and argument."""

import jax
import jax.numpy as jnp
import pytest

from jaxdet import ops
from jaxdet.ops.nms import nms_sorted
from jaxdet.ops.sampling import keep_sampled
from jaxdet.types import Proposals, RoiTargets, RpnTargets

KEY = jax.random.key(0)
BOXES, MASK, SCORES = jnp.zeros((5, 4)), jnp.ones(5, bool), jnp.zeros(5)
LABEL, SIZE, FEATURES = jnp.zeros(5, jnp.int32), jnp.array([60.0, 80.0]), jnp.zeros((4, 6, 8))
PROPOSALS = Proposals(BOXES, SCORES, MASK)
RPN_TARGETS, ROI_TARGETS = RpnTargets(LABEL, BOXES), RoiTargets(BOXES, LABEL, BOXES, MASK)
GT = BOXES[:2], MASK[:2]
PROPOSE = {"pre_nms_top_n": 5, "post_nms_top_n": 5, "nms_iou": 0.7}
DETECT = {"score_threshold": 0.0, "nms_iou": 0.3, "max_detections": 5}
MATCH = {"positive_iou": 0.7, "negative_iou": 0.3, "force_best": True}
NMS = {"iou_threshold": 0.5, "max_outputs": 5}
BATCH_OF_BOXES, WRONG_MASK, WHOLE = jnp.zeros((2, 5, 4)), jnp.ones(5), jnp.zeros((5, 4), jnp.int32)

# (op, arguments, options, position of the argument that is replaced, by what, start of the message)
WRONG = [
    (ops.pairwise_iou, (BOXES, BOXES), {}, 0, BATCH_OF_BOXES, "pairwise_iou: boxes_a must be float32[N,4]"),
    (ops.pairwise_iou, (BOXES, BOXES), {}, 1, WHOLE, "pairwise_iou: boxes_b must be float32[M,4], got int32[5, 4]"),
    (ops.encode, (BOXES, BOXES), {}, 0, jnp.zeros((4, 5)), "encode: boxes must be float32[...,4], got float32[4, 5]"),
    (ops.encode, (BOXES, BOXES), {}, 1, WHOLE, "encode: anchors must be float32[...,4], got int32[5, 4]"),
    (ops.decode, (BOXES, BOXES), {}, 0, SCORES, "decode: deltas must be float32[4], got float32[5]"),
    (ops.decode, (BOXES, BOXES), {}, 1, WHOLE, "decode: anchors must be float32[...,4]"),
    (ops.clip, (BOXES, SIZE), {}, 0, WHOLE, "clip: boxes must be float32[...,4]"),
    (ops.clip, (BOXES, SIZE), {}, 1, jnp.zeros((2, 2)), "clip: image_size must be float32[2], got float32[2, 2]"),
    (ops.inside, (BOXES, SIZE), {}, 0, BATCH_OF_BOXES, "inside: boxes must be float32[N,4]"),
    (ops.inside, (BOXES, SIZE), {}, 1, jnp.array([60, 80]), "inside: image_size must be float32[2], got int32[2]"),
    (ops.anchor_valid, ((4, 6), SIZE, 2), {}, 1, jnp.zeros((2, 2)), "anchor_valid: valid_size must be float32[2]"),
    (ops.grid_anchors, (BOXES, (4, 6)), {"stride": 16}, 0, SCORES, "grid_anchors: base must be float32[A,4]"),
    (ops.match, (jnp.zeros((5, 2)), MASK, MASK[:2]), MATCH, 1, MASK[:2], "match: anchor_valid must be bool[5]"),
    (ops.match, (jnp.zeros((5, 2)), MASK, MASK[:2]), MATCH, 2, MASK, "match: gt_valid must be bool[2], got bool[5]"),
    (ops.nms, (BOXES, SCORES, MASK), NMS, 1, SCORES[:3], "nms: scores must be float32[5], got float32[3]"),
    (ops.nms, (BOXES, SCORES, MASK), NMS, 2, WRONG_MASK, "nms: valid must be bool[5], got float32[5]"),
    (nms_sorted, (BOXES, MASK), NMS, 0, BATCH_OF_BOXES, "nms_sorted: boxes must be float32[N,4]"),
    (nms_sorted, (BOXES, MASK), NMS, 1, MASK[:2], "nms_sorted: valid must be bool[5]"),
    (ops.sample, (KEY, LABEL, MASK), {"size": 4, "max_positive": 2}, 1, SCORES, "sample: label must be int32[N]"),
    (ops.sample, (KEY, LABEL, MASK), {"size": 4, "max_positive": 2}, 2, MASK[:2], "sample: valid must be bool[5]"),
    (keep_sampled, (LABEL, LABEL, MASK), {}, 0, SCORES, "keep_sampled: label must be int32[N]"),
    (keep_sampled, (LABEL, LABEL, MASK), {}, 1, SCORES, "keep_sampled: index must be int32[size]"),
    (keep_sampled, (LABEL, LABEL, MASK), {}, 2, WRONG_MASK, "keep_sampled: sampled must be bool[5]"),
    *(
        (ops.propose, (SCORES, BOXES, BOXES, MASK, SIZE, jnp.float32(16)), PROPOSE, position, wrong, f"propose: {text}")
        for position, wrong, text in (
            (0, jnp.zeros((5, 2)), "objectness must be float32[N], got float32[5, 2]"),
            (1, BOXES[:2], "deltas must be float32[5,4]"),
            (2, BOXES[:2], "anchors must be float32[5,4]"),
            (3, WRONG_MASK, "anchor_valid must be bool[5]"),
            (4, SCORES, "image_size must be float32[2]"),
            (5, SIZE, "min_size must be float32[], got float32[2]"),
        )
    ),
    *(
        (ops.detect, (jnp.zeros((5, 3)), jnp.zeros((5, 3, 4)), BOXES, MASK, SIZE), DETECT, position, wrong, text)
        for position, wrong, text in (
            (0, SCORES, "detect: scores must be float32[R,K+1]"),
            (1, jnp.zeros((5, 12)), "detect: deltas must be float32[5,3,4], got float32[5, 12]"),
            (2, BOXES[:2], "detect: boxes must be float32[5,4]"),
            (3, WRONG_MASK, "detect: valid must be bool[5]"),
            (4, SCORES, "detect: image_size must be float32[2]"),
        )
    ),
    *(
        (ops.rpn_targets, (KEY, BOXES, MASK, *GT), {}, position, wrong, f"rpn_targets: {text}")
        for position, wrong, text in (
            (1, BATCH_OF_BOXES, "anchors must be float32[N,4]"),
            (2, WRONG_MASK, "anchor_valid must be bool[5]"),
            (3, BATCH_OF_BOXES, "gt_boxes must be float32[G,4]"),
            (4, MASK, "gt_valid must be bool[2], got bool[5]"),
        )
    ),
    *(
        (ops.roi_targets, (KEY, PROPOSALS, GT[0], LABEL[:2], GT[1]), {}, position, wrong, f"roi_targets: {text}")
        for position, wrong, text in (
            (1, Proposals(BATCH_OF_BOXES, SCORES, MASK), "proposals.boxes must be float32[P,4]"),
            (1, Proposals(BOXES, SCORES, MASK[:2]), "proposals.valid must be bool[5]"),
            (2, WHOLE, "gt_boxes must be float32[G,4]"),
            (3, LABEL, "gt_labels must be int32[2], got int32[5]"),
            (4, MASK, "gt_valid must be bool[2]"),
        )
    ),
    *(
        (ops.rpn_loss, (jnp.zeros((5, 2)), BOXES, RPN_TARGETS, jnp.int32(24)), {}, position, wrong, f"rpn_loss: {text}")
        for position, wrong, text in (
            (0, SCORES, "logits must be float32[N,2]"),
            (1, BOXES[:2], "deltas must be float32[5,4]"),
            (2, RpnTargets(LABEL[:2], BOXES), "targets.label must be int32[5]"),
            (2, RpnTargets(LABEL, BOXES[:2]), "targets.deltas must be float32[5,4]"),
            (3, jnp.float32(24), "locations must be int32[], got float32[]"),
        )
    ),
    *(
        (ops.roi_loss, (jnp.zeros((5, 3)), jnp.zeros((5, 3, 4)), ROI_TARGETS), {}, position, wrong, f"roi_loss: {text}")
        for position, wrong, text in (
            (0, SCORES, "logits must be float32[R,K+1]"),
            (1, BOXES, "deltas must be float32[5,3,4]"),
            (2, RoiTargets(BOXES, SCORES, BOXES, MASK), "targets.label must be int32[5]"),
            (2, RoiTargets(BOXES, LABEL, BOXES[:2], MASK), "targets.deltas must be float32[5,4]"),
            (2, RoiTargets(BOXES, LABEL, BOXES, WRONG_MASK), "targets.valid must be bool[5]"),
        )
    ),
    (ops.smooth_l1, (SCORES,), {"sigma": 1.0}, 0, LABEL, "smooth_l1: x must be float32[5], got int32[5]"),
    (ops.roi_max_pool, (FEATURES, BOXES), {}, 0, FEATURES[None], "roi_max_pool: features must be float32[h,w,C]"),
    (ops.roi_max_pool, (FEATURES, BOXES), {}, 1, BATCH_OF_BOXES, "roi_max_pool: boxes must be float32[R,4]"),
    (ops.roi_align, (FEATURES, BOXES), {}, 0, FEATURES[None], "roi_align: features must be float32[h,w,C]"),
    (ops.roi_align, (FEATURES, BOXES), {}, 1, BATCH_OF_BOXES, "roi_align: boxes must be float32[R,4]"),
    (ops.warp, (FEATURES, SIZE, BOXES), {"size": 64}, 0, FEATURES[None], "warp: image must be float32[H,W,C]"),
    (ops.warp, (FEATURES, SIZE, BOXES), {"size": 64}, 1, SCORES, "warp: image_size must be float32[2]"),
    (ops.warp, (FEATURES, SIZE, BOXES), {"size": 64}, 2, WHOLE, "warp: boxes must be float32[R,4], got int32[5, 4]"),
]


@pytest.mark.parametrize(
    ("op", "arguments", "options", "position", "wrong", "message"),
    WRONG,
    ids=[message.split(" must")[0].replace(": ", "-") for *_, message in WRONG],
)
def test_wrong_array_is_an_error(op, arguments, options, position, wrong, message):
    changed = [*arguments[:position], wrong, *arguments[position + 1 :]]
    with pytest.raises(ValueError) as error:
        op(*changed, **options)
    assert str(error.value).startswith(message)
    assert ";" in str(error.value)  # what to do


def test_every_op_is_covered():
    covered = {op.__name__ for op, *_ in WRONG}
    assert set(ops.__all__) - covered == {"base_anchors"}  # which takes no arrays
