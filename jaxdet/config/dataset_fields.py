"""The section `dataset` of the experiment config, one for each kind of data set; see fields.py."""

from dataclasses import dataclass
from typing import Annotated

from jaxdet.config.fields import MAY_CHANGE, PathText
from jaxdet.config.limits import Count, Positive


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """data.datasets.shapes.prepare_shapes: the generated demo set."""

    kind: Annotated[str, "'shapes': generated images of shapes"]
    data_dir: Annotated[PathText, "folder of prepared data", MAY_CHANGE]
    image_size: Annotated[int, "side of the square images, in pixels; at least 96"]
    train: Annotated[Positive, "images of the training split"]
    validation: Annotated[Positive, "images of the validation split"]
    test: Annotated[Positive, "images of the test split", MAY_CHANGE]
    seed: Annotated[Count, "seed of the images"]


@dataclass(frozen=True, kw_only=True)
class Devkit:
    """data.datasets.devkit.prepare_devkit: a folder of your own images, with any classes."""

    kind: Annotated[str, "'devkit': a folder of your own"]
    devkit: Annotated[PathText, "the folder of images and annotations; see docs/own-data.md", MAY_CHANGE]
    data_dir: Annotated[PathText, "folder of prepared data", MAY_CHANGE]
    class_names: Annotated[tuple[str, ...], "classes, label 1 first; empty: every class of the folder", MAY_CHANGE]
    max_pixels: Annotated[Positive, "larger images are skipped before they are decoded", MAY_CHANGE]


@dataclass(frozen=True, kw_only=True)
class Voc:
    """data.datasets.voc.open_voc: PASCAL VOC 2007 and 2012."""

    kind: Annotated[str, "'voc': PASCAL VOC"]
    data_dir: Annotated[PathText, "folder of prepared data", MAY_CHANGE]
    archives: Annotated[PathText, "folder of the official archives; empty: DATA_DIR/downloads/manual", MAY_CHANGE]
    mirror: Annotated[
        str, "address to download the archives from; empty: the organisers' site and TFDS's copy", MAY_CHANGE
    ]
    devkit: Annotated[PathText, "an extracted VOCdevkit; empty: the archives", MAY_CHANGE]
