"""SVMs and box regressors of rcnn, from the .mat files that its rcnn_train and rcnn_train_bbox_regressor write."""

import os
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.io.mat_file import read_mat

NORM = 20.0  # rcnn_scale_features.m scales features to this mean length


def read_svms(path: str | os.PathLike, *, features: int, classes: int) -> dict[str, np.ndarray]:
    """Return {"kernel": f32[F,K], "bias": f32[K]} of `rcnn_model.detectors`, the features' scaling folded in.

    Raises:
      InputError: no such file; no such struct in it; for other than F features and K classes.
    """
    model = _struct(path, "rcnn_model")
    try:
        scale = _scale(model)
        kernel, bias = np.asarray(model.detectors.W, np.float32), np.asarray(model.detectors.B, np.float32).ravel()
    except (AttributeError, TypeError, ValueError) as error:
        raise _unknown(path, "rcnn_model.detectors.W, .B and rcnn_model.training_opts.feat_norm_mean", error) from None
    if kernel.shape != (features, classes) or bias.shape != (classes,):
        raise InputError(
            f"{path} must hold SVMs of {features} features for {classes} classes, got {kernel.shape} and {bias.shape}; "
            "give the file of this net."
        )
    return {"kernel": kernel * np.float32(scale), "bias": bias}


def read_box_regressors(path: str | os.PathLike, *, cells: tuple[int, int, int], classes: int) -> dict[str, np.ndarray]:
    """Return {"kernel": f32[K,h*w*C,4], "bias": f32[K,4]} of `bbox_reg.models`, scaling and whitening folded in.

    The original predicts (pool5 * 20 / mean norm, 1) Beta T_inv + mu, with pool5 in the order channel, row, column.

    Args:
      cells: (height, width, channels) of pool5.

    Raises:
      InputError: no such file; no such struct in it; for another pool5 or number of classes.
    """
    height, width, channels = cells
    regressors = _struct(path, "bbox_reg")
    try:
        scale = _scale(regressors)
        kernels, biases = [], []
        for model in np.atleast_1d(regressors.models):
            affine = np.asarray(model.Beta, np.float64) @ np.asarray(model.T_inv, np.float64)
            kernel = scale * affine[:-1].reshape(channels, height, width, 4).transpose(1, 2, 0, 3)
            kernels.append(kernel.reshape(-1, 4))
            biases.append(affine[-1] + np.asarray(model.mu, np.float64).ravel())
    except (AttributeError, TypeError, ValueError) as error:
        layout = f"bbox_reg.models of {np.prod(cells) + 1} x 4 Beta, T_inv and mu, and training_opts.feat_norm_mean"
        raise _unknown(path, layout, error) from None
    if len(kernels) != classes:
        raise InputError(f"{path} must hold the box regressors of {classes} classes, got {len(kernels)}.")
    return {"kernel": np.stack(kernels).astype(np.float32), "bias": np.stack(biases).astype(np.float32)}


def _scale(struct: Any) -> float:
    """Return the factor of the features; ValueError unless their mean length is a positive number."""
    mean = float(struct.training_opts.feat_norm_mean)
    if not 0 < mean < np.inf:
        raise ValueError(f"feat_norm_mean {mean}")
    return NORM / mean


def _struct(path: str | os.PathLike, name: str) -> Any:
    try:
        return read_mat(path, name, squeeze_me=True, struct_as_record=False)[name]
    except KeyError as error:
        raise _unknown(path, f"the struct {name}", error) from None


def _unknown(path: str | os.PathLike, layout: str, error: Exception) -> InputError:
    return InputError(f"{path} must hold {layout}, got {type(error).__name__} ({error}); give rcnn's file.")
