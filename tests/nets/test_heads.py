"""The head's hidden layers: dropout scaled in training or in detection."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxdet.nets.heads import HiddenLayers

INPUT = np.random.default_rng(0).uniform(0.5, 1.5, (1, 400, 1, 1, 6)).astype(np.float32)
IDENTITY = np.eye(6, dtype=np.float32)
PARAMS = {name: {"kernel": IDENTITY, "bias": np.zeros(6, np.float32)} for name in ("fc6", "fc7")}


@functools.cache
def outputs(scaling, rate=0.25):
    """Return what fc7 gives in training and in detection; both layers are the identity on positive numbers."""
    layers = HiddenLayers(nn.initializers.zeros, features=(6, 6), dropout=rate, dropout_scaling=scaling)
    keys = jax.random.split(jax.random.key(3), 1)
    training, detection = (layers.apply({"params": PARAMS}, INPUT, key) for key in (keys, None))
    return np.asarray(training)[0], np.asarray(detection)[0]


def test_scaled_in_training_the_values_that_stay_are_larger_and_detection_is_unscaled():
    training, detection = outputs("train")
    np.testing.assert_array_equal(detection, INPUT[0, :, 0, 0])
    stays = training > 0
    np.testing.assert_allclose(training[stays], (INPUT[0, :, 0, 0] / 0.75**2)[stays], rtol=1e-6)


def test_scaled_in_detection_the_values_that_stay_are_unscaled_as_caffes_scale_train_false():
    training, detection = outputs("test")
    np.testing.assert_allclose(detection, INPUT[0, :, 0, 0] * 0.75**2, rtol=1e-6)
    stays = training > 0
    np.testing.assert_array_equal(training[stays], INPUT[0, :, 0, 0][stays])
    assert 0.4 < stays.mean() < 0.7  # 0.75 of fc6's, and 0.75 of those


@pytest.mark.parametrize("scaling", ["train", "test"])
def test_training_and_detection_have_the_same_mean(scaling):
    training, detection = outputs(scaling)
    np.testing.assert_allclose(training.mean(), detection.mean(), rtol=0.05)


def test_without_dropout_nothing_is_scaled():
    for values in outputs("test", 0.0):
        np.testing.assert_array_equal(values, INPUT[0, :, 0, 0])


def test_bfloat16_stays_bfloat16():
    layers = HiddenLayers(nn.initializers.zeros, features=(6, 6), dropout_scaling="test", dtype=jnp.bfloat16)
    assert jax.eval_shape(layers.apply, {"params": PARAMS}, INPUT, None).dtype == jnp.bfloat16
