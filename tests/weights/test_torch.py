"""Foreign parameters under our names: layouts, the fc6 row order, the RPN's missing background logit."""

import numpy as np

from jaxdet.weights.torch import VGG16_LAYERS, torchvision_faster_rcnn


def random_state(rng, channels=4, side=7, anchors=3, classes=2, hidden=5):
    def layer(name, *shape):
        return {f"{name}.weight": rng.normal(size=shape).astype(np.float32), f"{name}.bias": rng.normal(size=shape[0])}

    state = {}
    for index in VGG16_LAYERS:
        state |= layer(f"backbone.{index}", channels, channels, 3, 3)
    state |= layer("rpn.head.conv.0.0", channels, channels, 3, 3)
    state |= layer("rpn.head.cls_logits", anchors, channels, 1, 1)
    state |= layer("rpn.head.bbox_pred", 4 * anchors, channels, 1, 1)
    state |= layer("roi_heads.box_head.fc6", hidden, channels * side * side)
    state |= layer("roi_heads.box_head.fc7", hidden, hidden)
    state |= layer("roi_heads.box_predictor.cls_score", classes + 1, hidden)
    return state | layer("roi_heads.box_predictor.bbox_pred", 4 * (classes + 1), hidden)


def test_fc6_reads_the_same_features():
    rng = np.random.default_rng(0)
    state = random_state(rng)
    pooled = rng.normal(size=(4, 7, 7)).astype(np.float32)  # C,H,W as torch has it
    want = state["roi_heads.box_head.fc6.weight"] @ pooled.reshape(-1)
    got = pooled.transpose(1, 2, 0).reshape(-1) @ torchvision_faster_rcnn(state)["fc6"]["kernel"]
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_the_background_logit_is_zero_and_the_object_logit_kept():
    state = random_state(np.random.default_rng(1))
    got = torchvision_faster_rcnn(state)["rpn_cls_score"]
    np.testing.assert_array_equal(got["bias"].reshape(3, 2)[:, 0], 0)
    np.testing.assert_array_equal(got["bias"].reshape(3, 2)[:, 1], state["rpn.head.cls_logits.bias"])
    kernel = got["kernel"].reshape(1, 1, 4, 3, 2)
    np.testing.assert_array_equal(kernel[..., 0], 0)
    np.testing.assert_array_equal(kernel[0, 0, :, :, 1].T, state["rpn.head.cls_logits.weight"][:, :, 0, 0])


def test_a_convolution_is_transposed():
    state = random_state(np.random.default_rng(2))
    got = torchvision_faster_rcnn(state)["conv3_2"]["kernel"]
    np.testing.assert_array_equal(got[0, 2, 1, 3], state["backbone.12.weight"][3, 1, 0, 2])
