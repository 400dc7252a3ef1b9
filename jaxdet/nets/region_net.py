"""A backbone and its heads as one net of pure functions: all that the algorithms in models/ know of a network."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdet.nets.backbones import STRIDE, make_backbone
from jaxdet.nets.heads import BoxHead, HiddenLayers, RpnHead
from jaxdet.nets.preprocessing import NORMALISATIONS


@dataclasses.dataclass(frozen=True)
class RegionNet:
    """Pure functions over one parameter dict (layer name -> kernel, bias).

    init(key) -> params
    normalise(image u8[B,H,W,3] RGB) -> f32[B,H,W,3]
    features(params, normalised image, image_size f32[B,2]) -> [B,h,w,C] with h, w about H, W / stride, and each image's
      own size i32[B,2]
    rpn(params, features) -> logits f32[B,N,2] (background, object), deltas f32[B,N,4]; None without anchors
    head(params, pooled [B,R,s,s,C], dropout_keys [B] or None) -> logits f32[B,R,K+1], deltas f32[B,R,K+1,4]
    """

    init: Callable
    normalise: Callable
    features: Callable
    rpn: Callable | None
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
    svd_ranks: tuple[int, int] = (0, 0),
    normalisation: str = "caffe",
    pooling: str = "ceil",
    compute_dtype: str = "float32",
) -> RegionNet:
    """A backbone ('alexnet', 'vgg16' or 'zf') with both heads, as in Faster R-CNN; `width` multiplies its channels.

    num_anchors 0 leaves the region proposal network out (Fast R-CNN). svd_ranks are for parameters that svd.compress
    made. normalisation (one of NORMALISATIONS) and pooling ('ceil' as Caffe, 'floor' as PyTorch) are those of the
    weights that training starts from; from scratch either does. compute_dtype is that of the activations of
    convolutions and fully connected layers; parameters and outputs stay float32.

    Raises InputError for a name that does not exist or a width that leaves no channels.
    """
    convolutions = make_backbone(
        backbone, width=width, normalisation=normalisation, pooling=pooling, compute_dtype=compute_dtype
    )
    dtype = convolutions.dtype
    rpn = RpnHead(num_anchors=num_anchors, features=round(convolutions.rpn_features * width), dtype=dtype)
    hidden = HiddenLayers(features=head_features, dropout=dropout, svd_ranks=tuple(svd_ranks), dtype=dtype)
    boxes = BoxHead(num_classes=num_classes)

    def init(key):
        backbone_key, rpn_key, head_key = jax.random.split(key, 3)
        image, size = jnp.zeros((1, STRIDE, STRIDE, 3)), jnp.full((1, 2), STRIDE)
        features = jnp.zeros((1, 1, 1, convolutions.channels), dtype)
        pooled = jnp.zeros((1, 1, convolutions.pool_size, convolutions.pool_size, convolutions.channels), dtype)
        return {
            **convolutions.init(backbone_key, image, size)["params"],
            **(rpn.init(rpn_key, features)["params"] if num_anchors else {}),
            **hidden.init(head_key, pooled, None)["params"],
            **boxes.init(head_key, jnp.zeros((1, 1, head_features)))["params"],
        }

    def head(params, pooled, dropout_keys):
        return boxes.apply({"params": params}, hidden.apply({"params": params}, pooled, dropout_keys))

    return RegionNet(
        init=init,
        normalise=NORMALISATIONS[normalisation],
        features=lambda params, x, size: convolutions.apply({"params": params}, x, size.astype(jnp.int32)),
        rpn=(lambda params, x: rpn.apply({"params": params}, x)) if num_anchors else None,
        head=head,
        stride=STRIDE,
        pool_size=convolutions.pool_size,
    )
