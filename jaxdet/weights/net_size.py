"""The fields of config.net that parameters decide by their shapes."""

from typing import Any

from jaxdet.checks import one_of
from jaxdet.nets.sizes import LAST_CONVOLUTIONS
from jaxdet.types import Params


def net_size(params: Params, backbone: str) -> dict[str, Any]:
    """Return net.width and, where there are fully connected layers, net.head_features.

    {} where the last convolution is missing: the parameters are not of this backbone.
    """
    one_of("net.backbone", backbone, LAST_CONVOLUTIONS)
    last, channels = LAST_CONVOLUTIONS[backbone]
    if last not in params:
        return {}
    size: dict[str, Any] = {"width": params[last]["kernel"].shape[-1] / channels}
    return size | {"head_features": params["fc6"]["bias"].size} if "fc6" in params else size
