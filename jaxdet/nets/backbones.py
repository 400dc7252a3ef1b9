"""Table of the backbones, and the checks of their options."""

import functools

import jax
import jax.numpy as jnp

from jaxdet.checks import at_least, one_of
from jaxdet.nets import vgg16_on_tpu
from jaxdet.nets.alexnet import AlexNet
from jaxdet.nets.apply import apply
from jaxdet.nets.layers.initializers import INITS, kernel_initializers
from jaxdet.nets.preprocessing import PREPROCESSINGS
from jaxdet.nets.vgg16 import VGG16
from jaxdet.nets.vgg_m import VggM
from jaxdet.nets.zf import ZF
from jaxdet.ops.by_platform import by_platform
from jaxdet.types import Params

STRIDE = 16  # image pixels per cell of the features, in every backbone
BACKBONES = {"alexnet": AlexNet, "vgg16": VGG16, "vgg_m": VggM, "zf": ZF}
POOL_ROUNDINGS = ("ceil", "floor")
DTYPES = ("float32", "bfloat16")
MIN_WIDTH = 1 / 64


def make_backbone(
    name: str,
    *,
    width: float,
    init: str,
    preprocessing: str,
    pool_rounding: str,
    compute_dtype: str,
    **form: bool,
) -> AlexNet | VGG16 | VggM | ZF:
    """Return the module of a backbone: (image f32[B,H,W,3], size i32[B,2]) -> features [B,h,w,C], their size i32[B,2].

    Its `pool_size` is the side of pooled regions, `rpn_features` the number of the RPN's channels at width 1,
    `fc7_share` the units of fc7 per unit of fc6. `preprocessing` is only checked. `form` are options of one backbone
    alone.

    Raises:
      InputError: a name that does not exist, or a width that leaves no channels.
    """
    resnet = "ResNet-50 with a feature pyramid is the config faster_resnet50_fpn_devkit."
    one_of("net.backbone", name, BACKBONES, resnet if name.startswith("resnet") else "")
    one_of("net.init", init, INITS)
    one_of("net.preprocessing", preprocessing, PREPROCESSINGS)
    one_of("net.pool_rounding", pool_rounding, POOL_ROUNDINGS)
    one_of("net.compute_dtype", compute_dtype, DTYPES)
    at_least("net.width", width, MIN_WIDTH, "1/64 leaves conv1 one channel, 1.0 is the paper's")
    return BACKBONES[name](
        kernel_init=kernel_initializers(init),
        width=width,
        pool_rounding=pool_rounding,
        dtype=jnp.dtype(compute_dtype),
        **form,
    )


def run_backbone(
    backbone: AlexNet | VGG16 | VggM | ZF, params: Params, x: jax.Array, size: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return backbone(x, size), in the form for the platform that the program is lowered for."""
    if not isinstance(backbone, VGG16):
        return apply(backbone, params, x, size)
    params = {name: params[name] for name in params if name.startswith("conv")}
    return by_platform(
        params,
        x,
        size,
        tpu=functools.partial(vgg16_on_tpu.features, pool_rounding=backbone.pool_rounding, dtype=backbone.dtype),
        default=functools.partial(apply, backbone),
    )
