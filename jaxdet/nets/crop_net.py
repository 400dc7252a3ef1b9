"""R-CNN's net: the ImageNet classifier, run on warped crops (Girshick et al. 2014, 2.2)."""

import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdet.checks import one_of
from jaxdet.nets.apply import apply
from jaxdet.nets.backbones import STRIDE, make_backbone, run_backbone
from jaxdet.nets.heads import DROPOUT_SCALINGS, HiddenLayers
from jaxdet.nets.layers.pooling import max_pool_2x2, max_pool_3x3
from jaxdet.nets.preprocessing import PREPROCESSINGS
from jaxdet.types import Params

INPUT_SIZES = {"alexnet": 227, "vgg16": 224}


@dataclasses.dataclass(frozen=True)
class CropNet:
    """Pure functions over one parameter dict (layer name -> kernel, bias).

    init(key) -> params
    preprocess(image u8[...,3] RGB) -> f32[...,3]
    conv(params, crops f32[R,S,S,3] preprocessed) -> pool5 f32[R,h,w,C]
    fc7(params, pool5, dropout_key or None) -> f32[R,F], after its ReLU
    classify(params, fc7) -> logits f32[R,K+1], background first
    """

    init: Callable[[jax.Array], Params]
    preprocess: Callable[[jax.Array], jax.Array]
    conv: Callable[[Params, jax.Array], jax.Array]
    fc7: Callable[[Params, jax.Array, jax.Array | None], jax.Array]
    classify: Callable[[Params, jax.Array], jax.Array]
    input_size: int  # S
    pool5_shape: tuple[int, int, int]  # h, w, C
    fc7_features: int  # F


def crop_net(
    *,
    backbone: str,
    num_classes: int,
    width: float = 1.0,
    head_features: int = 4096,
    dropout: float = 0.5,
    dropout_scaling: str = "train",
    init: str = "he_normal",
    preprocessing: str = "caffe",
    compute_dtype: str = "float32",
) -> CropNet:
    """Return the classifier of 'alexnet' (227x227 pixels) or 'vgg16' (224x224) with K+1 outputs.

    The arguments are those of region_net. Pooling always rounds up as Caffe does, for all crops have one size. The
    parameters have the names and shapes of region_net's, without rpn_* and bbox_pred.

    Raises:
      InputError: a name that does not exist, or a width that leaves no channels.
    """
    one_of("net.backbone of R-CNN", backbone, INPUT_SIZES)
    one_of("net.dropout_scaling", dropout_scaling, DROPOUT_SCALINGS)
    make = functools.partial(
        make_backbone,
        backbone,
        width=width,
        init=init,
        preprocessing=preprocessing,
        pool_rounding="ceil",
        compute_dtype=compute_dtype,
    )
    convolutions = make(padded=False) if backbone == "alexnet" else make()
    hidden = HiddenLayers(
        kernel_init=convolutions.kernel_init.after_relu,
        features=(head_features, head_features),
        dropout=dropout,
        dropout_scaling=dropout_scaling,
        dtype=convolutions.dtype,
    )
    scores = nn.Dense(num_classes + 1, kernel_init=nn.initializers.normal(0.01))
    side = INPUT_SIZES[backbone]
    pool5_shape = (convolutions.pool_size, convolutions.pool_size, convolutions.channels)

    def conv(params: Params, crops: jax.Array) -> jax.Array:
        size = jnp.full((len(crops), 2), side, jnp.int32)
        x, size = run_backbone(convolutions, params, crops, size)
        if backbone == "alexnet":
            x, _ = max_pool_3x3(x, size, padding=0, rounding="ceil")
        else:
            x, _ = max_pool_2x2(x, size, rounding="ceil")
        return x.astype(jnp.float32)

    def fc7(params: Params, pool5: jax.Array, dropout_key: jax.Array | None) -> jax.Array:
        keys = None if dropout_key is None else dropout_key[None]
        return apply(hidden, params, pool5[None], keys)[0].astype(jnp.float32)

    def init_params(key: jax.Array) -> Params:
        backbone_key, hidden_key, scores_key = jax.random.split(key, 3)
        # AlexNet's padded form has the same parameters and takes a smaller image.
        image, size = jnp.zeros((1, STRIDE, STRIDE, 3)), jnp.full((1, 2), STRIDE)
        return {
            **make().init(backbone_key, image, size)["params"],
            **hidden.init(hidden_key, jnp.zeros((1, 1, *pool5_shape)), None)["params"],
            "cls_score": scores.init(scores_key, jnp.zeros((1, head_features)))["params"],
        }

    return CropNet(
        init=init_params,
        preprocess=PREPROCESSINGS[preprocessing],
        conv=conv,
        fc7=fc7,
        classify=lambda params, x: apply(scores, params["cls_score"], x),
        input_size=side,
        pool5_shape=pool5_shape,
        fc7_features=head_features,
    )
