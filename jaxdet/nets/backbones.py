"""The backbones by name, and the checks of what configures them."""

import flax.linen as nn
import jax.numpy as jnp

from jaxdet.checks import InputError, nearest
from jaxdet.nets.alexnet import AlexNet
from jaxdet.nets.preprocessing import NORMALISATIONS
from jaxdet.nets.vgg16 import VGG16
from jaxdet.nets.zf import ZF

STRIDE = 16  # of every backbone
BACKBONES = {"alexnet": AlexNet, "vgg16": VGG16, "zf": ZF}
POOLINGS = ("ceil", "floor")
DTYPES = ("float32", "bfloat16")
LEAST_WIDTH = 1 / 64


def make_backbone(
    name: str, *, width: float, normalisation: str, pooling: str, compute_dtype: str, **more: bool
) -> nn.Module:
    """The module of a backbone: call(image f32[B,H,W,3], size i32[B,2]) -> features [B,h,w,C], their sizes i32[B,2].

    `pool_size` is the side of its pooled regions, `rpn_features` the channels of its RPN at width 1.

    Raises InputError for a name that does not exist (normalisation's too) or a width that leaves no channels.
    """
    for what, value, names in (
        ("backbone", name, BACKBONES),
        ("normalisation", normalisation, NORMALISATIONS),
        ("pooling", pooling, POOLINGS),
        ("compute_dtype", compute_dtype, DTYPES),
    ):
        if value not in names:
            raise InputError(f"net.{what} must be one of {', '.join(names)}, got {value!r}; {nearest(value, names)}")
    if width < LEAST_WIDTH:
        raise InputError(f"net.width must be at least 1/64, a channel of conv1, got {width}; take 1.0 or 0.25.")
    return BACKBONES[name](width=width, pooling=pooling, dtype=jnp.dtype(compute_dtype), **more)
