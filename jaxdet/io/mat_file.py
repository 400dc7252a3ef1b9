"""Reading of MATLAB's .mat files that others made, of version 7 or earlier."""

import os
from pathlib import Path
from typing import Any

import scipy.io

from jaxdet.checks import InputError
from jaxdet.io.regular_file import check_regular

FIRST_BYTES_OF_HDF5 = b"MATLAB 7.3 MAT-file"


def read_mat(path: str | os.PathLike[str], *names: str, **options: Any) -> dict[str, Any]:
    """Return those of the variables `names` that a file holds; `options` are of scipy.io.loadmat.

    Raises:
      InputError: it is no readable regular file, is of version 7.3, which is HDF5, or is no whole .mat file.
    """
    path = Path(path)
    try:
        check_regular(path)
        with path.open("rb") as file:
            start = file.read(len(FIRST_BYTES_OF_HDF5))
    except OSError as error:
        raise InputError(f"{path} must be a readable file, got: {error.strerror}; check the path.") from error
    if start == FIRST_BYTES_OF_HDF5:
        raise InputError(
            f"{path} must be a .mat file of version 7 or earlier, got 7.3 (HDF5); save it again in MATLAB: "
            f"s = load('{path.name}'); save('{path.name}', '-struct', 's', '-v7')."
        )
    try:
        return scipy.io.loadmat(path, variable_names=names, **options)
    except Exception as error:  # a damaged file fails in many ways
        raise InputError(f"{path} must be a .mat file, got {error}; copy it again.") from error
