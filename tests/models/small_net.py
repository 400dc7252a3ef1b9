"""A RegionNet that compiles in a moment, for tests of the models: one layer of 16x16 patches, linear heads."""

import jax
import jax.numpy as jnp

from jaxdet.nets.layers.pooling import zero_outside
from jaxdet.nets.region_net import RegionNet

STRIDE, CHANNELS, POOL, ANCHORS, CLASSES = 16, 8, 3, 6, 3
SHAPES = {
    "patch": (STRIDE * STRIDE * 3, CHANNELS),
    "rpn_cls_score": (CHANNELS, ANCHORS * 2),
    "rpn_bbox_pred": (CHANNELS, ANCHORS * 4),
    "cls_score": (POOL * POOL * CHANNELS, CLASSES + 1),
    "bbox_pred": (POOL * POOL * CHANNELS, (CLASSES + 1) * 4),
}


def small_net() -> RegionNet:
    return RegionNet(
        init=_init,
        preprocess=lambda image: image.astype(jnp.float32) / 255.0,
        features=_features,
        rpn=_rpn,
        fc7=_fc7,
        outputs=_outputs,
        stride=STRIDE,
        pool_size=POOL,
    )


def _init(key):
    keys = jax.random.split(key, len(SHAPES))
    return {
        name: {"kernel": jax.random.normal(key, shape) * shape[0] ** -0.5, "bias": jnp.zeros(shape[1])}
        for key, (name, shape) in zip(keys, SHAPES.items(), strict=True)
    }


def _dense(layer, x):
    bias = layer["bias"].reshape((1,) * (x.ndim - 1) + (-1,))
    return jnp.tensordot(x, layer["kernel"], 1) + bias


def _features(params, x, image_size):
    batch, height, width, _ = x.shape
    size = image_size.astype(jnp.int32)
    x = zero_outside(x, size)
    x = x.reshape(batch, height // STRIDE, STRIDE, width // STRIDE, STRIDE, 3).transpose(0, 1, 3, 2, 4, 5)
    x = jax.nn.relu(_dense(params["patch"], x.reshape(*x.shape[:3], -1)))
    return zero_outside(x, -(-size // STRIDE)), -(-size // STRIDE)


def _rpn(params, x):
    logits, deltas = (_dense(params[name], x) for name in ("rpn_cls_score", "rpn_bbox_pred"))
    return logits.reshape(x.shape[0], -1, 2), 0.1 * deltas.reshape(x.shape[0], -1, 4)


def _fc7(params, x, dropout_keys):
    del params, dropout_keys
    return x.reshape(*x.shape[:2], -1)


def _outputs(params, x):
    deltas = _dense(params["bbox_pred"], x)
    return _dense(params["cls_score"], x), deltas.reshape(*x.shape[:2], CLASSES + 1, 4)
