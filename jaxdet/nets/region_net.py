"""A backbone and its heads as one net of pure functions: all that the algorithms in models/ know of a network."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdet.checks import InputError, nearest
from jaxdet.nets.heads import BoxHead, RpnHead
from jaxdet.nets.normalise import NORMALISATIONS
from jaxdet.nets.vgg16 import VGG16

STRIDE = 16  # of every backbone
BACKBONES = {"vgg16": VGG16}


@dataclasses.dataclass(frozen=True)
class RegionNet:
    """Pure functions over one parameter dict (layer name -> kernel, bias).

    init(key) -> params
    normalise(image u8[B,H,W,3] RGB) -> f32[B,H,W,3]
    features(params, normalised image, image_size f32[B,2]) -> [B,H/stride,W/stride,C], each image's own size i32[B,2]
    rpn(params, features) -> logits f32[B,N,2] (background, object), deltas f32[B,N,4]
    head(params, pooled [B,R,s,s,C], dropout_keys [B] or None) -> logits f32[B,R,K+1], deltas f32[B,R,K+1,4]
    """

    init: Callable
    normalise: Callable
    features: Callable
    rpn: Callable
    head: Callable
    stride: int
    pool_size: int


def region_net(
    *,
    backbone: str,
    num_classes: int,
    num_anchors: int,
    width: float = 1.0,
    head_features: int = 4096,
    dropout: float = 0.5,
    normalisation: str = "caffe",
    pooling: str = "ceil",
    compute_dtype: str = "float32",
) -> RegionNet:
    """A backbone of BACKBONES with both heads, as in Faster R-CNN; `width` multiplies the convolutions' channels.

    normalisation (one of NORMALISATIONS) and pooling ('ceil' as Caffe, 'floor' as PyTorch) are those of the weights
    that training starts from; from scratch either does. compute_dtype is that of the activations of convolutions
    and fully connected layers; parameters and outputs stay float32.
    """
    if backbone not in BACKBONES:
        raise InputError(f"backbone: no {backbone!r}; {nearest(backbone, BACKBONES)}")
    if normalisation not in NORMALISATIONS:
        raise InputError(f"normalisation: no {normalisation!r}; {nearest(normalisation, NORMALISATIONS)}")
    if pooling not in ("ceil", "floor"):
        raise InputError(f"pooling must be 'ceil' or 'floor', got {pooling!r}; Caffe's weights want 'ceil'.")
    if compute_dtype not in ("float32", "bfloat16"):
        raise InputError(f"compute_dtype must be 'float32' or 'bfloat16', got {compute_dtype!r}.")
    if round(64 * width) < 1:
        raise InputError(f"width must leave conv1_1 at least one of its 64 channels, got {width}; take 1.0 or 0.25.")
    dtype = jnp.dtype(compute_dtype)
    convolutions = BACKBONES[backbone](width=width, pooling=pooling, dtype=dtype)
    rpn = RpnHead(num_anchors=num_anchors, features=round(512 * width), dtype=dtype)
    head = BoxHead(num_classes=num_classes, features=head_features, dropout=dropout, dtype=dtype)

    def init(key):
        backbone_key, rpn_key, head_key = jax.random.split(key, 3)
        image, size = jnp.zeros((1, STRIDE, STRIDE, 3)), jnp.full((1, 2), STRIDE)
        features = jnp.zeros((1, 1, 1, round(512 * width)), dtype)
        pooled = jnp.zeros((1, 1, 7, 7, round(512 * width)), dtype)
        return {
            **convolutions.init(backbone_key, image, size)["params"],
            **rpn.init(rpn_key, features)["params"],
            **head.init(head_key, pooled, None)["params"],
        }

    return RegionNet(
        init=init,
        normalise=NORMALISATIONS[normalisation],
        features=lambda params, x, size: convolutions.apply({"params": params}, x, size.astype(jnp.int32)),
        rpn=lambda params, x: rpn.apply({"params": params}, x),
        head=lambda params, x, dropout_keys: head.apply({"params": params}, x, dropout_keys),
        stride=STRIDE,
        pool_size=7,
    )
