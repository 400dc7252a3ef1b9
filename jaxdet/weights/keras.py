"""Parameters of Keras applications' VGG16 under jaxdet's names; kernels are laid out alike."""

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jaxdet.checks import InputError, install
from jaxdet.io.regular_file import check_regular
from jaxdet.types import Params
from jaxdet.weights.keras_layers import vgg16_arrays
from jaxdet.weights.layers import KERAS, MAX_BYTES, VGG16_LAYERS, convert, fully_connected, some, vgg16_convolutions

if TYPE_CHECKING:
    import h5py  # an extra, so imported below where it is used

WEIGHTS = "model.weights.h5"  # in a .keras file
MOST_COMPRESSION = 20  # trained weights hardly compress; more is a file made to fill the memory


def keras_vgg16(path: str | os.PathLike) -> Params:
    """Read conv1_1 to conv5_3, fc6 and fc7 from a file of Keras's VGG16; other layers are ignored.

    The file may hold weights or a whole model: .h5 with one group per layer, Keras 3's .weights.h5, or .keras. VGG16
    may be a part of the model, with or without its fully connected layers ("top"; without them the result has no fc6
    and fc7).

    Args:
      path: such as vgg16_weights_tf_dim_ordering_tf_kernels.h5, of at most MAX_BYTES.

    Raises:
      InputError: h5py is not installed; no such file, or a larger one; not HDF5; one error for all names that are
        missing, unknown or of another shape.
    """
    check_installed()
    path = Path(path)
    try:
        check_regular(path, max_bytes=MAX_BYTES)
    except OSError as error:
        raise InputError(f"{path} must be an .h5 or .keras file, got: {error.strerror}; check the path.") from error
    try:
        with _opened(path) as (file, size):
            arrays = vgg16_arrays(file)
            stored_elsewhere = any(dataset.external or dataset.is_virtual for dataset in arrays.values())
            if stored_elsewhere or sum(dataset.nbytes for dataset in arrays.values()) > size:
                raise InputError("the arrays must be stored in the file, got larger ones than it is, or elsewhere.")
            layers = vgg16_convolutions({name: keras_name for name, (keras_name, _) in VGG16_LAYERS.items()})
            if {"fc1/bias", "fc2/bias"} <= arrays.keys():
                layers += fully_connected("fc1", "fc2")
            return convert(arrays, layers, KERAS, what="VGG16")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # h5py and zipfile raise nearly any for a damaged file
        got = str(error)[:200] or type(error).__name__
        raise InputError(f"{path} must be a whole HDF5 or .keras file, got: {got}; download it again.") from None


def check_installed() -> None:
    """Raise InputError where h5py, an extra, is missing."""
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise InputError(f"Keras weights need h5py, got none installed; {install('keras')}.") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator["tuple[h5py.File, int]"]:
    """Open the HDF5 file at `path` or in the zip at `path`; yield it and its size in bytes."""
    import h5py

    if not zipfile.is_zipfile(path):
        with h5py.File(path, "r", locking=False) as file:
            yield file, path.stat().st_size
        return
    with zipfile.ZipFile(path) as archive:
        if WEIGHTS not in archive.namelist():
            raise InputError(f"a .keras file must hold {WEIGHTS}, got {some(archive.namelist())}.")
        entry = archive.getinfo(WEIGHTS)
        if entry.file_size > min(MAX_BYTES, max(MOST_COMPRESSION * entry.compress_size, 2**20)):
            raise InputError(
                f"{WEIGHTS} must have at most {MAX_BYTES} bytes and {MOST_COMPRESSION} times its compressed size, "
                f"got {entry.file_size} from {entry.compress_size}."
            )
        with archive.open(entry) as member, h5py.File(member, "r") as file:
            yield file, entry.file_size
