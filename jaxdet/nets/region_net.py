"""A backbone and its two heads as one net of pure functions, the interface of the algorithms in models/."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdet.checks import one_of
from jaxdet.nets.apply import apply
from jaxdet.nets.backbones import STRIDE, make_backbone, run_backbone
from jaxdet.nets.heads import DROPOUT_SCALINGS, BoxHead, HiddenLayers, RpnHead
from jaxdet.nets.preprocessing import PREPROCESSINGS
from jaxdet.types import Params


@dataclasses.dataclass(frozen=True)
class RegionNet:
    """Pure functions over one parameter dict (layer name -> kernel, bias).

    init(key) -> params
    preprocess(image u8[B,H,W,3] RGB) -> f32[B,H,W,3]
    features(params, preprocessed image, image_size f32[B,2]) -> [B,h,w,C] with h, w about H, W / stride, and the size
      of each image's own features, i32[B,2]
    rpn(params, features) -> logits f32[B,N,2] (background, object), deltas f32[B,N,4]; None without anchors
    fc7(params, pooled [B,R,s,s,C], dropout_keys [B] or None) -> [B,R,F]
    outputs(params, fc7) -> logits f32[B,R,K+1], deltas f32[B,R,K+1,4]
    """

    init: Callable[[jax.Array], Params]
    preprocess: Callable[[jax.Array], jax.Array]
    features: Callable[[Params, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    rpn: Callable[[Params, jax.Array], tuple[jax.Array, jax.Array]] | None
    fc7: Callable[[Params, jax.Array, jax.Array | None], jax.Array]
    outputs: Callable[[Params, jax.Array], tuple[jax.Array, jax.Array]]
    stride: int
    pool_size: int

    def head(self, params: Params, pooled: jax.Array, dropout_keys: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        """Return the outputs of pooled features: fc7, then both of its layers."""
        return self.outputs(params, self.fc7(params, pooled, dropout_keys))


def region_net(
    *,
    backbone: str,
    num_classes: int,
    num_anchors: int,
    width: float = 1.0,
    head_features: int = 4096,
    dropout: float = 0.5,
    dropout_scaling: str = "train",
    svd_ranks: tuple[int, int] = (0, 0),
    init: str = "he_normal",
    preprocessing: str = "caffe",
    pool_rounding: str = "ceil",
    compute_dtype: str = "float32",
) -> RegionNet:
    """Return a backbone with the RPN's head and the detection head, as in Faster R-CNN.

    Args:
      backbone: 'alexnet', 'vgg16', 'vgg_m' or 'zf'.
      num_classes: K, without the background.
      num_anchors: A, anchors per cell; 0 leaves the region proposal network out (Fast R-CNN).
      width: factor of every channel count of the backbone; 1.0 is the paper's.
      head_features: units of fc6, and of fc7 but for 'vgg_m', whose fc7 has a quarter.
      dropout: dropout rate after fc6 and fc7.
      dropout_scaling: 'train' or 'test', the phase in which dropout scales, see HiddenLayers; like preprocessing, it
        must be that of the initial weights.
      svd_ranks: ranks of fc6 and fc7 in parameters that svd.compress returned; 0 for a whole layer.
      init: 'he_normal' or 'looks_linear', see nets.layers.initializers.
      preprocessing: one of PREPROCESSINGS. Like pool_rounding, it must be that of the initial weights; with random
        weights any will do.
      pool_rounding: 'ceil' as Caffe or 'floor' as PyTorch, see nets.layers.pooling.
      compute_dtype: 'float32' or 'bfloat16', of the activations of convolutions and fully connected layers; parameters
        and outputs stay float32.

    Raises:
      InputError: a name that does not exist, or a width that leaves no channels.
    """
    one_of("net.dropout_scaling", dropout_scaling, DROPOUT_SCALINGS)
    convolutions = make_backbone(
        backbone,
        width=width,
        init=init,
        preprocessing=preprocessing,
        pool_rounding=pool_rounding,
        compute_dtype=compute_dtype,
    )
    dtype = convolutions.dtype
    rpn = RpnHead(num_anchors=num_anchors, features=round(convolutions.rpn_features * width), dtype=dtype)
    fc7_features = round(head_features * convolutions.fc7_share)
    hidden = HiddenLayers(
        kernel_init=convolutions.kernel_init.after_relu,
        features=(head_features, fc7_features),
        dropout=dropout,
        dropout_scaling=dropout_scaling,
        svd_ranks=(svd_ranks[0], svd_ranks[1]),
        dtype=dtype,
    )
    boxes = BoxHead(num_classes=num_classes)

    def init_params(key: jax.Array) -> Params:
        backbone_key, rpn_key, head_key = jax.random.split(key, 3)
        side = 4 * STRIDE  # less leaves VGG_CNN_M_1024 no cell
        image, size = jnp.zeros((1, side, side, 3)), jnp.full((1, 2), side)
        features = jnp.zeros((1, 1, 1, convolutions.channels), dtype)
        pooled = jnp.zeros((1, 1, convolutions.pool_size, convolutions.pool_size, convolutions.channels), dtype)
        return {
            **convolutions.init(backbone_key, image, size)["params"],
            **(rpn.init(rpn_key, features)["params"] if num_anchors else {}),
            **hidden.init(head_key, pooled, None)["params"],
            **boxes.init(head_key, jnp.zeros((1, 1, fc7_features)))["params"],
        }

    return RegionNet(
        init=init_params,
        preprocess=PREPROCESSINGS[preprocessing],
        features=lambda params, x, size: run_backbone(convolutions, params, x, size.astype(jnp.int32)),
        rpn=(lambda params, x: apply(rpn, params, x)) if num_anchors else None,
        fc7=lambda params, pooled, dropout_keys: apply(hidden, params, pooled, dropout_keys),
        outputs=lambda params, fc7: apply(boxes, params, fc7),
        stride=STRIDE,
        pool_size=convolutions.pool_size,
    )
