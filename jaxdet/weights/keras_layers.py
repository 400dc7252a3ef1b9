"""VGG16's layers in the groups of an HDF5 file of Keras.

Keras 1 and 2 name a group after its layer: `vgg16/block1_conv1/kernel:0`. Keras 3 numbers the layers of a class within
a model, `layers/functional/layers/conv2d_1/vars/0`; `vars` may have the layer's name as an attribute.
"""

import logging
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from jaxdet.checks import InputError
from jaxdet.weights.layers import VGG16_LAYERS, some

if TYPE_CHECKING:
    import h5py

log = logging.getLogger(__name__)

CONVOLUTIONS = [name for name, _ in VGG16_LAYERS.values()]  # in order
DENSE = ["fc1", "fc2", "predictions"]
NAMES = r"block\d_conv\d|fc\d|predictions"  # with VGG19's, so that it is seen to be another network
Layers = dict[str, "dict[str, h5py.Dataset]"]  # layer -> 'kernel', 'bias' or another name -> array


def vgg16_arrays(file: "h5py.File") -> "dict[str, h5py.Dataset]":
    """Return the arrays of VGG16 as layer/kernel and layer/bias, with Keras's names of the layers.

    Layers without these names are known by their order: a model with exactly 13 convolutions is VGG16, and three dense
    layers beside them are its top. Of several models the one with the shortest path is read, of these the first.
    Without any the result has all arrays.

    Raises:
      InputError: there are numbered convolutions, but not 13.
    """
    models = _models(file)
    chosen = {path: layers for path, layers in models.items() if "block1_conv1" in layers}
    if not chosen:
        numbered = {path: layers for path, layers in models.items() if _numbered(layers, "conv2d")}
        chosen = {path: named for path, layers in numbered.items() if (named := _named_by_order(layers))}
        if numbered and not chosen:
            counts = [str(len(_numbered(layers, "conv2d"))) for layers in numbered.values()]
            raise InputError(
                f"the weights must have VGG16's 13 convolutions, got {some(counts)}; give a file of VGG16."
            )
    path = min(chosen, key=lambda path: path.count("/"), default="")
    if len(chosen) > 1:
        log.warning("the file holds several networks (%s); reading %s", some(list(chosen)), path)
    layers = chosen.get(path) or {name: layer for model in models.values() for name, layer in model.items()}
    return {f"{name}/{leaf}": array for name, layer in layers.items() for leaf, array in layer.items()}


def _models(file: "h5py.File") -> dict[str, Layers]:
    """Return the layers of every model in the file by the model's path; '' is the outermost."""
    import h5py

    models: dict[str, Layers] = defaultdict(lambda: defaultdict(dict))

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        *path, leaf = name.removeprefix("model_weights/").split("/")
        if not isinstance(item, h5py.Dataset) or name.startswith("optimizer") or not path:
            return
        by_name = [i for i, part in enumerate(path) if re.fullmatch(NAMES, part)]
        at = by_name[0] if by_name else len(path) - 1 - (path[-1] == "vars" and len(path) > 1)
        layer, attribute = path[at], item.parent.attrs.get("name")
        layer = attribute if isinstance(attribute, str) and re.fullmatch(NAMES, attribute) else layer
        models["/".join(path[:at])][layer][_leaf(leaf)] = item

    file.visititems(visit)  # does not follow links out of the file
    return models


def _leaf(name: str) -> str:
    """Return 'kernel' or 'bias' for an array's name; versions of Keras add different prefixes and suffixes."""
    if re.search(r"^0$|(kernel|_W)(_\d+)?(:0)?$", name):
        return "kernel"
    return "bias" if re.search(r"^1$|(bias|_b)(_\d+)?(:0)?$", name) else name


def _numbered(layers: Layers, kind: str) -> list[str]:
    """Return the names kind, kind_1, kind_2 and so on among the layers, by number."""
    names = [name for name in layers if re.fullmatch(rf"{kind}(_\d{{1,9}})?", name)]
    return sorted(names, key=lambda name: int(name.removeprefix(kind).removeprefix("_") or 0))


def _named_by_order(layers: Layers) -> Layers:
    """Return the layers of a model under VGG16's names; {} unless it has as many convolutions."""
    convolutions, dense = _numbered(layers, "conv2d"), _numbered(layers, "dense")
    if len(convolutions) != len(CONVOLUTIONS):
        return {}
    names = dict(zip(CONVOLUTIONS, convolutions, strict=True))
    if len(dense) == len(DENSE):
        names |= zip(DENSE, dense, strict=True)
    return {name: layers[group] for name, group in names.items()}
