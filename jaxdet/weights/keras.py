"""Parameters of Keras applications' VGG16 under jaxdet's names; kernels are laid out alike."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from jaxdet.checks import InputError
from jaxdet.types import Params
from jaxdet.weights.layers import KERAS, VGG16_LAYERS, convert, fully_connected, vgg16_convolutions

if TYPE_CHECKING:
    import h5py  # an extra, so imported below where it is used


def keras_vgg16(path: str | os.PathLike) -> Params:
    """Read conv1_1 to conv5_3, fc6 and fc7 from an .h5 file of Keras's VGG16; its last layer is ignored.

    The file may hold weights or a whole model, in the HDF5 layout with one group per layer, with or without the fully
    connected layers ("top"; without it the result has no fc6 and fc7).

    Args:
      path: such as vgg16_weights_tf_dim_ordering_tf_kernels.h5.

    Raises:
      InputError: h5py is not installed; no such file; not HDF5; one error for all names that are missing, unknown or of
        another shape.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError('Keras weights need h5py, got none installed; pip install "jaxdet[keras]".') from error
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path} must be an .h5 file, got none; check the path.")
    try:
        with h5py.File(path, "r", locking=False) as file:
            weights = file.get("model_weights")
            state = _datasets(weights if isinstance(weights, h5py.Group) else file)
            stored_elsewhere = any(dataset.external or dataset.is_virtual for dataset in state.values())
            if stored_elsewhere or sum(dataset.nbytes for dataset in state.values()) > path.stat().st_size:
                raise InputError("the arrays must be stored in the file, got larger ones than it is, or elsewhere.")
            layers = vgg16_convolutions({name: keras_name for name, (keras_name, _) in VGG16_LAYERS.items()})
            if any(name.startswith("fc") for name in state):
                layers += fully_connected("fc1", "fc2")
            return convert(state, layers, KERAS, what="VGG16", ignored=["predictions"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # h5py's errors for a damaged file
        raise InputError(f"{path} must be a whole HDF5 file, got: {error}; download it again.") from None


def _datasets(group: "h5py.Group") -> "dict[str, h5py.Dataset]":
    """Return the arrays by layer/kernel and layer/bias; versions of Keras add different prefixes and suffixes."""
    import h5py

    datasets = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if not isinstance(item, h5py.Dataset) or name.startswith("optimizer/"):
            return
        if "/" not in name:  # in no layer's group
            datasets[name] = item
            return
        layer, *_, last = name.split("/")
        layer = item.parent.attrs.get("name", layer)  # Keras 3's .weights.h5: layers/conv2d_4/vars/0
        if re.search(r"^0$|(kernel|_W)(_\d+)?(:0)?$", last):
            last = "kernel"
        elif re.search(r"^1$|(bias|_b)(_\d+)?(:0)?$", last):
            last = "bias"
        datasets[f"{layer}/{last}"] = item

    group.visititems(visit)  # does not follow links out of the file
    return datasets
