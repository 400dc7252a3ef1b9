"""Reading of a file of weights by its content: what torch.save or Caffe wrote, or safetensors."""

import os
from pathlib import Path
from typing import Any

from jaxdet.checks import InputError
from jaxdet.io.regular_file import check_regular
from jaxdet.io.safetensors import is_safetensors, read_safetensors
from jaxdet.weights.caffe_file import is_caffemodel, read_caffemodel
from jaxdet.weights.layers import MAX_BYTES
from jaxdet.weights.torch_file import read_torch_file


def read_weights(path: str | os.PathLike) -> Any:
    """Return the contents of a .pth file, or the arrays by name of a .safetensors or .caffemodel file.

    Arrays are read-only.

    Raises:
      InputError: it is no regular file or has more than MAX_BYTES; see also the readers.
    """
    path = Path(path)
    try:
        check_regular(path, max_bytes=MAX_BYTES)
    except OSError as error:
        raise InputError(f"{path} must be a readable file, got: {error.strerror}; check the path.") from error
    if is_caffemodel(path):
        return read_caffemodel(path)
    return read_safetensors(path)[0] if is_safetensors(path) else read_torch_file(path)
