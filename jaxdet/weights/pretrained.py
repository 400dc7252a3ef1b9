"""Published weights of VGG16, ResNet-50 and a COCO detector: addresses, and the input that each of them expects."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxdet.checks import InputError, one_of
from jaxdet.io.download import Unavailable, download, matches
from jaxdet.types import Params
from jaxdet.weights.file import read_weights
from jaxdet.weights.keras import check_installed, keras_vgg16
from jaxdet.weights.net_size import net_size
from jaxdet.weights.resnet import resnet50_classifier, torchvision_faster_rcnn_fpn
from jaxdet.weights.state_dict import state_dict
from jaxdet.weights.torch import classifier

CACHE = "~/.cache/jaxdet/weights"


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A published file of weights; config.net must have its preprocessing and pool_rounding."""

    url: str
    size: str  # in words, for errors
    digest: str  # 'sha256:...' or 'md5:...' as published; the start of it is enough
    preprocessing: str
    pool_rounding: str
    read: Callable[[Path], Params]
    backbone: str = "vgg16"
    head_features: int | None = 4096  # units of fc6 and fc7; None: without them


def _reader(convert: Callable[[Mapping[str, np.ndarray]], Params]) -> Callable[[Path], Params]:
    """Return the function that reads a .pth or .safetensors file and converts its state dict."""

    def read(path: Path) -> Params:
        contents = read_weights(path)
        try:
            return convert(state_dict(contents))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    return read


PRETRAINED = {
    "torchvision": Pretrained(
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        size="553,433,881 bytes",
        digest="sha256:397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        preprocessing="torchvision",
        pool_rounding="floor",
        read=_reader(classifier),
    ),
    # The original Caffe model converted by jcjohnson; the start of the hash is in the name, as in PyTorch's names.
    "caffe": Pretrained(
        url="https://web.eecs.umich.edu/~justincj/models/vgg16-00b39a1b.pth",
        size="about 553 MB",
        digest="sha256:00b39a1b",
        preprocessing="caffe",
        pool_rounding="ceil",
        read=_reader(classifier),
    ),
    "keras": Pretrained(
        url="https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
        "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
        size="553,467,096 bytes",
        digest="md5:64373286793e3c8b2b4e3219cbf3544b",
        preprocessing="keras",
        pool_rounding="floor",
        read=keras_vgg16,
    ),
    "keras_notop": Pretrained(
        url="https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        size="58,889,256 bytes",
        digest="md5:6d6bbae143d832006294945121d1f1fc",
        preprocessing="keras",
        pool_rounding="floor",
        read=keras_vgg16,
        head_features=None,
    ),
    "resnet50": Pretrained(
        url="https://download.pytorch.org/models/resnet50-0676ba61.pth",
        size="about 103 MB",
        digest="sha256:0676ba61",
        preprocessing="torchvision",
        pool_rounding="floor",
        read=_reader(resnet50_classifier),
        backbone="resnet50",
        head_features=None,
    ),
    "coco": Pretrained(
        url="https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
        size="about 168 MB",
        digest="sha256:258fb6c6",
        preprocessing="torchvision",
        pool_rounding="floor",
        read=_reader(torchvision_faster_rcnn_fpn),
        backbone="resnet50",
        head_features=1024,
    ),
}


def origin(name: str, backbone: str) -> dict[str, str]:
    """Return the net.preprocessing, net.pool_rounding and net.dropout_scaling of these weights.

    Caffe's ZF-Net has `scale_train: false` in its dropout layers: fc7 and cls_score read halved values in detection.

    Raises:
      InputError: no weights of this name.
    """
    pretrained = _named(name)
    return {
        "preprocessing": pretrained.preprocessing,
        "pool_rounding": pretrained.pool_rounding,
        "dropout_scaling": "test" if backbone == "zf" else "train",
    }


def is_published(file: str | os.PathLike) -> bool:
    """Return whether `file` means the published weights ('' or an address), not the user's own file."""
    return not file or "://" in str(file)


def pretrained_size(name: str, *, file: str | os.PathLike = "", backbone: str) -> dict[str, Any]:
    """Return the net.width of these weights and, where they have fc6 and fc7, net.head_features; see `net_size`.

    The user's own file is read for it; the size of a published one is known. Args and errors as in `load_pretrained`.

    Raises:
      InputError: the package that reads these weights is missing, which is better known before a download.
    """
    pretrained = _named(name)
    if not is_published(file):
        return net_size(pretrained.read(Path(file)), backbone)
    if pretrained.read is keras_vgg16:
        check_installed()
    return {"width": 1.0} | ({"head_features": pretrained.head_features} if pretrained.head_features else {})


def load_pretrained(name: str, *, file: str | os.PathLike = "", cache: str | os.PathLike = CACHE) -> Params:
    """Return conv1_1 to conv5_3, fc6 and fc7 of ImageNet's VGG16 under jaxdet's names, f32; fc6 reads 7x7 cells.

    'resnet50' gives the convolutions and frozen norms of ImageNet's ResNet-50, 'coco' all of a detector. CaffeNet and
    ZF-Net are not published in a layout that is read here; the user's own file may hold them.

    Args:
      name: one of PRETRAINED: which net and training, and so which preprocessing of the input.
      file: '' for the published file, downloaded from its official address; 'https://...' for another address of it;
        or a path, for a file of the same layout to read instead, whose hash is not checked.
      cache: folder into which the published file is downloaded once.

    Raises:
      InputError: no such name; no connection (says which file to put where); a file of another network's weights.
    """
    pretrained = _named(name)
    if not is_published(file):
        return pretrained.read(Path(file))
    return pretrained.read(_downloaded(pretrained, str(file) or pretrained.url, Path(cache).expanduser()))


def _downloaded(pretrained: Pretrained, address: str, cache: Path) -> Path:
    path = cache / pretrained.url.rpartition("/")[2]
    by_hand = (
        f"get {path.name} ({pretrained.size}, {pretrained.digest}) by other means and put it at {path}, "
        "or name it, or another address of it, in training.pretrained_file (of predict: --pretrained_file)"
    )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            download([address], path, digest=pretrained.digest)
        elif not (path.is_file() and matches(path, pretrained.digest)):  # reading a pipe would never end
            raise InputError(f"{path} must have {pretrained.digest}, got another file; delete it, or {by_hand}.")
    except Unavailable as fault:
        raise InputError(f"{path.name} cannot be downloaded ({fault}); run again, or {by_hand}.") from fault
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error}); free space there, or {by_hand}.") from error
    return path


def _named(name: str) -> Pretrained:
    one_of("pretrained weights", name, PRETRAINED)
    return PRETRAINED[name]
