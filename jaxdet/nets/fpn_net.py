"""ResNet-50 with a feature pyramid and both heads as one net of pure functions: RegionNet over several levels."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax.linen.initializers import he_normal

from jaxdet.checks import at_least, one_of
from jaxdet.nets.apply import apply
from jaxdet.nets.backbones import DTYPES, MIN_WIDTH
from jaxdet.nets.feature_pyramid import FeaturePyramid
from jaxdet.nets.heads import BoxHead, HiddenLayers, RpnHead
from jaxdet.nets.preprocessing import PREPROCESSINGS
from jaxdet.nets.resnet50 import ResNet50
from jaxdet.nets.sizes import RESNET50_EXPANSION, RESNET50_STAGES
from jaxdet.types import Params

STRIDES = (4, 8, 16, 32)  # image pixels per cell of the levels that RoIs are pooled from
LEVELS = len(STRIDES) + 1  # the region proposal network also sees every second cell of the coarsest
CHANNELS = 256  # of every level, at width 1
POOL_SIZE = 7

Levels = tuple[jax.Array, ...]


@dataclasses.dataclass(frozen=True)
class FpnNet:
    """Pure functions over one parameter dict (layer name -> kernel, bias or scale).

    init(key) -> params
    preprocess(image u8[B,H,W,3] RGB) -> f32[B,H,W,3]
    features(params, preprocessed image, image_size f32[B,2]) -> (five maps [B,h,w,C], finest first, and the size of
      each image's own part of each, i32[B,2]); sides are rounded up at every stride
    rpn(params, features) -> logits f32[B,N,2] (background, object), deltas f32[B,N,4], level by level
    head(params, pooled [B,R,7,7,C], dropout_keys [B] or None) -> logits f32[B,R,K+1], deltas f32[B,R,K+1,4]
    """

    init: Callable[[jax.Array], Params]
    preprocess: Callable[[jax.Array], jax.Array]
    features: Callable[[Params, jax.Array, jax.Array], tuple[Levels, Levels]]
    rpn: Callable[[Params, Levels], tuple[jax.Array, jax.Array]]
    head: Callable[[Params, jax.Array, jax.Array | None], tuple[jax.Array, jax.Array]]


def fpn_net(
    *,
    backbone: str = "resnet50",
    num_classes: int,
    num_anchors: int,
    width: float = 1.0,
    head_features: int = 1024,
    svd_ranks: tuple[int, int] = (0, 0),
    preprocessing: str = "torchvision",
    compute_dtype: str = "float32",
) -> FpnNet:
    """Return ResNet-50 with a feature pyramid, the RPN's head shared by its levels, and the detection head.

    Args:
      backbone: 'resnet50'.
      num_classes: K, without the background.
      num_anchors: A, anchors per cell of a level.
      width: factor of every channel count of the backbone and of the pyramid; 1.0 is the paper's.
      head_features: units of fc6 and fc7.
      svd_ranks: as in region_net.
      preprocessing: one of PREPROCESSINGS; it must be that of the initial weights.
      compute_dtype: as in region_net.

    Raises:
      InputError: a name that does not exist, or a width that leaves no channels.
    """
    one_of("net.backbone of a feature pyramid", backbone, ("resnet50",))
    one_of("net.preprocessing", preprocessing, PREPROCESSINGS)
    one_of("net.compute_dtype", compute_dtype, DTYPES)
    at_least("net.width", width, MIN_WIDTH, "1/64 leaves conv1 one channel, 1.0 is the paper's")
    dtype, channels = jnp.dtype(compute_dtype), round(CHANNELS * width)
    resnet = ResNet50(width=width, dtype=dtype)
    pyramid = FeaturePyramid(channels, dtype)
    rpn = RpnHead(num_anchors=num_anchors, features=channels, dtype=dtype)
    hidden = HiddenLayers(
        kernel_init=he_normal(),
        features=(head_features, head_features),
        dropout=0.0,
        svd_ranks=(svd_ranks[0], svd_ranks[1]),
        dtype=dtype,
    )
    boxes = BoxHead(num_classes=num_classes)

    def init_params(key: jax.Array) -> Params:
        resnet_key, pyramid_key, rpn_key, head_key = jax.random.split(key, 4)
        size = jnp.ones((1, 2), jnp.int32)
        outputs = [round(RESNET50_EXPANSION * count * width) for count, _ in RESNET50_STAGES]
        stages = [(jnp.zeros((1, 1, 1, count), dtype), size) for count in outputs]
        return {
            **resnet.init(resnet_key, jnp.zeros((1, 32, 32, 3)), 32 * size)["params"],
            **pyramid.init(pyramid_key, stages)["params"],
            **rpn.init(rpn_key, jnp.zeros((1, 1, 1, channels), dtype))["params"],
            **hidden.init(head_key, jnp.zeros((1, 1, POOL_SIZE, POOL_SIZE, channels), dtype), None)["params"],
            **boxes.init(head_key, jnp.zeros((1, 1, head_features)))["params"],
        }

    def features(params: Params, x: jax.Array, image_size: jax.Array) -> tuple[Levels, Levels]:
        levels = apply(pyramid, params, apply(resnet, params, x, image_size.astype(jnp.int32)))
        return tuple(x for x, _ in levels), tuple(size for _, size in levels)

    def rpn_outputs(params: Params, features: Levels) -> tuple[jax.Array, jax.Array]:
        logits, deltas = zip(*(apply(rpn, params, x) for x in features), strict=True)
        return jnp.concatenate(logits, axis=1), jnp.concatenate(deltas, axis=1)

    return FpnNet(
        init=init_params,
        preprocess=PREPROCESSINGS[preprocessing],
        features=features,
        rpn=rpn_outputs,
        head=lambda params, x, keys: apply(boxes, params, apply(hidden, params, x, keys)),
    )
