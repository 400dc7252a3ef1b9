"""The region proposal network's head (Faster R-CNN, 3.1) and the layers after RoI pooling (Fast R-CNN, 2.1)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import Initializer

from jaxdet.nets.layers.fast_conv import conv_general_dilated

DROPOUT_SCALINGS = ("train", "test")


class RpnHead(nn.Module):
    """Features [B,h,w,C] -> logits f32[B,h*w*A,2] (background, object) and deltas f32[B,h*w*A,4].

    A 3x3 convolution, then two sibling 1x1 convolutions, all initialised from N(0, 0.01) (3.1.3). The order of the
    anchors is that of grid_anchors: (row, column, anchor).
    """

    num_anchors: int
    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        init = nn.initializers.normal(0.01)
        x = nn.Conv(
            self.features,
            (3, 3),
            dtype=self.dtype,
            kernel_init=init,
            conv_general_dilated=conv_general_dilated,
            name="rpn_conv",
        )(x)
        x = nn.relu(x).astype(jnp.float32)
        logits = nn.Conv(self.num_anchors * 2, (1, 1), kernel_init=init, name="rpn_cls_score")(x)
        deltas = nn.Conv(self.num_anchors * 4, (1, 1), kernel_init=init, name="rpn_bbox_pred")(x)
        return logits.reshape(x.shape[0], -1, 2), deltas.reshape(x.shape[0], -1, 4)


class HiddenLayers(nn.Module):
    """fc6 and fc7 with ReLU and dropout: pooled features [B,R,s,s,C] -> [B,R,features[1]].

    Dropout's two phases have the same mean: `dropout_scaling` 'train' divides the values that stay by 1 - rate in
    training, 'test' multiplies all values by it at test time (Caffe's `scale_train: false`).

    `dropout_keys` [B] are one per image, so that a mask never depends on the batch; None at test time. `svd_ranks` are
    those of fc6 and fc7, each split by svd.compress into two layers with that many values between; 0 is a whole layer.
    """

    kernel_init: Initializer
    features: tuple[int, int] = (4096, 4096)
    dropout: float = 0.5
    dropout_scaling: str = "train"
    svd_ranks: tuple[int, int] = (0, 0)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, dropout_keys: jax.Array | None) -> jax.Array:
        x = x.reshape(*x.shape[:2], -1)
        scales_now = self.dropout_scaling == ("test" if dropout_keys is None else "train")
        for name, features, rank in zip(("fc6", "fc7"), self.features, self.svd_ranks, strict=True):
            if rank:
                x = nn.Dense(rank, use_bias=False, dtype=self.dtype, kernel_init=self.kernel_init, name=f"{name}_v")(x)
                name = f"{name}_u"
            x = nn.relu(nn.Dense(features, dtype=self.dtype, kernel_init=self.kernel_init, name=name)(x))
            if dropout_keys is not None and self.dropout > 0:
                dropout_keys, layer_keys = jnp.moveaxis(jax.vmap(jax.random.split)(dropout_keys), 1, 0)
                x = _drop(layer_keys, x, rate=self.dropout)
            if scales_now:
                x = x * (1.0 - self.dropout) if dropout_keys is None else x / (1.0 - self.dropout)
        return x


class BoxHead(nn.Module):
    """fc7 [B,R,F] -> class logits f32[B,R,K+1] and class-specific deltas f32[B,R,K+1,4].

    Two sibling layers initialised from N(0, 0.01) and N(0, 0.001) (Fast R-CNN, 2.3).
    """

    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = x.astype(jnp.float32)
        logits = nn.Dense(self.num_classes + 1, kernel_init=nn.initializers.normal(0.01), name="cls_score")(x)
        deltas = nn.Dense((self.num_classes + 1) * 4, kernel_init=nn.initializers.normal(0.001), name="bbox_pred")(x)
        return logits, deltas.reshape(*x.shape[:2], self.num_classes + 1, 4)


def _drop(keys: jax.Array, x: jax.Array, *, rate: float) -> jax.Array:
    """Set each value to zero with probability `rate`."""
    stays = jax.vmap(lambda key, image: jax.random.bernoulli(key, 1.0 - rate, image.shape))(keys, x)
    return jnp.where(stays, x, jnp.zeros((), x.dtype))
