"""Application of a Flax module to its part of a parameter dict."""

from typing import Any

import flax.linen as nn

from jaxdet.types import Params


def apply(module: nn.Module, params: Params, *arguments: Any) -> Any:
    """Return module(*arguments); parameters of other modules in `params` are ignored."""
    return module.apply({"params": params}, *arguments)
