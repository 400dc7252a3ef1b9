"""Reading of a file of weights by its content: what torch.save wrote, or safetensors."""

import os
from pathlib import Path
from typing import Any

from jaxdet.io.safetensors import is_safetensors, read_safetensors
from jaxdet.weights.torch_file import read_torch_file


def read_weights(path: str | os.PathLike) -> Any:
    """Return the contents of a .pth file, or the arrays by name of a .safetensors file; arrays are read-only.

    Raises:
      InputError: see read_torch_file and read_safetensors.
    """
    path = Path(path).expanduser()
    return read_safetensors(path)[0] if is_safetensors(path) else read_torch_file(path)
