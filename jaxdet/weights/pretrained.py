"""Nets trained on ImageNet: where each library's VGG16 comes from, and how its weights expect their images."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from jaxdet.checks import InputError, nearest
from jaxdet.io.download import Unavailable, download, matches
from jaxdet.weights.keras import keras_vgg16
from jaxdet.weights.layers import Params
from jaxdet.weights.torch import classifier, state_dict
from jaxdet.weights.torch_file import read_torch_file

CACHE = "~/.cache/jaxdet/weights"


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A published file of weights; normalisation and pooling are the values that config.net must then have."""

    url: str
    size: str  # as a person reads it
    digest: str  # 'sha256:...' or 'md5:...' as published, which may be only the start
    normalisation: str
    pooling: str
    read: Callable[[Path], Params]


def _of_torch(path: Path) -> Params:
    contents = read_torch_file(path)
    try:
        return classifier(state_dict(contents))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


PRETRAINED = {
    "torchvision": Pretrained(
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        size="553,433,881 bytes",
        digest="sha256:397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        normalisation="torchvision",
        pooling="floor",
        read=_of_torch,
    ),
    # The original Caffe model converted by jcjohnson; as in PyTorch's own names, the start of the hash is in the name.
    "caffe": Pretrained(
        url="https://web.eecs.umich.edu/~justincj/models/vgg16-00b39a1b.pth",
        size="about 553 MB",
        digest="sha256:00b39a1b",
        normalisation="caffe",
        pooling="ceil",
        read=_of_torch,
    ),
    "keras": Pretrained(
        url="https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
        "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
        size="553,467,096 bytes",
        digest="md5:64373286793e3c8b2b4e3219cbf3544b",
        normalisation="keras",
        pooling="floor",
        read=keras_vgg16,
    ),
}


def origin(name: str) -> dict[str, str]:
    """The values of net.normalisation and net.pooling that belong to weights of this name; InputError for no name."""
    pretrained = _named(name)
    return {"normalisation": pretrained.normalisation, "pooling": pretrained.pooling}


def is_published(file: str | os.PathLike) -> bool:
    """Whether `load_pretrained` takes the published weights for this `file`, from wherever, not a file of one's own."""
    return not file or "://" in str(file)


def load_pretrained(name: str, *, file: str | os.PathLike = "", cache: str | os.PathLike = CACHE) -> Params:
    """conv1_1 to conv5_3, fc6 and fc7 of ImageNet's VGG16 under jaxdet's names, f32; fc6 reads 7x7 cells.

    CaffeNet and ZF-Net are not published in a layout that is read here; a file of one's own may hold them.

    Args:
      name: 'torchvision', 'caffe' or 'keras': which training, and so which normalisation of the input.
      file: '' downloads the published file from its official address, an address (https://...) from there; or a file
        of that layout to read in its place, whose hash is not checked.
      cache: folder into which the published file is downloaded once.

    Raises:
      InputError: no such name; no connection (says which file to put where); a file of another network's weights.
    """
    pretrained = _named(name)
    if not is_published(file):
        return pretrained.read(Path(file).expanduser())
    return pretrained.read(_downloaded(pretrained, str(file) or pretrained.url, Path(cache).expanduser()))


def _downloaded(pretrained: Pretrained, address: str, cache: Path) -> Path:
    path = cache / pretrained.url.rpartition("/")[2]
    by_hand = (
        f"get {path.name} ({pretrained.size}, {pretrained.digest}) by other means and put it at {path}, "
        "or name it, or another address of it, in training.pretrained_file"
    )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            download([address], path, digest=pretrained.digest)
        elif not matches(path, pretrained.digest):
            raise InputError(f"{path} must have {pretrained.digest}, got another file; delete it, or {by_hand}.")
    except Unavailable as fault:
        raise InputError(f"{path.name} cannot be downloaded ({fault}); run again, or {by_hand}.") from fault
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error}); free space there, or {by_hand}.") from error
    return path


def _named(name):
    if name not in PRETRAINED:
        raise InputError(
            f"pretrained weights must be one of {sorted(PRETRAINED)}, got {name!r}; {nearest(name, PRETRAINED)}"
        )
    return PRETRAINED[name]
