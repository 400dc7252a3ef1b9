"""TFDS builder for a folder in VOC layout with any classes, and what it does with faulty files."""

import dataclasses
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import cv2
import numpy as np
import tensorflow_datasets as tfds

from jaxdet.checks import InputError
from jaxdet.data import image_file
from jaxdet.data.datasets import features
from jaxdet.data.datasets import voc_layout as layout
from jaxdet.data.datasets.prepare import empty_indices, index_image, prepare, prepared
from jaxdet.data.datasets.voc_xml import Unusable, annotated_size, read_objects, read_xml
from jaxdet.io.atomic import atomic_write
from jaxdet.io.progress import progress

log = logging.getLogger(__name__)

NAMES_SHOWN = 10  # of the skipped images, in the summary; skipped.json has all


@dataclasses.dataclass
class VocFolderConfig(tfds.core.BuilderConfig):
    folder: Path = Path()
    splits: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    max_pixels: int = image_file.MAX_PIXELS


class VocFolder(tfds.core.GeneratorBasedBuilder):
    """The features of TFDS `voc` from a local folder; `skipped.json` beside the records lists every fault.

    skipped.json: split -> {"images": {reason: names}, "objects": {reason: names}}; an image's name appears once for
    each of its objects at fault.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.features(self.builder_config.class_names),
            disable_shuffling=True,
            metadata=empty_indices(self.builder_config.splits),
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        self._images = layout.find_images(self.builder_config.folder)
        self._skipped: dict[str, dict[str, dict[str, list[str]]]] = {}
        return {split: self._generate_examples(split) for split in self.builder_config.splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
        listed = layout.read_split(self.builder_config.folder, split)
        index = self.info.metadata[split]
        images, objects = defaultdict(list), defaultdict(list)
        seen: set[str] = set()
        for name in progress(listed, name=f"preparing {split}", total=len(listed)):
            try:
                if name in seen:
                    raise Unusable("listed twice")
                seen.add(name)
                file_name, encoded, size, things, remarks = self._read_image(name)
            except Unusable as fault:
                images[str(fault)].append(name)
                continue
            for remark in remarks:
                objects[remark].append(name)
            index_image(index, name, *size, things)
            yield len(index["names"]) - 1, features.example(file_name, encoded, *size, things)
        self._skipped[split] = {"images": images, "objects": objects}
        summary = _summary(f"{self.builder_config.folder}, {split}", len(index["names"]), images, objects)
        log.log(logging.WARNING if images or objects else logging.INFO, summary)
        if not index["names"]:
            raise InputError(f"devkit: no image can be used. {summary}")
        with atomic_write(Path(self.data_dir) / "skipped.json") as file:
            file.write(json.dumps(self._skipped, indent=1).encode())

    def _read_image(self, name: str) -> tuple:
        """File name, bytes as they are stored, (height, width), objects, remarks; Unusable says what is wrong."""
        config = self.builder_config
        if name not in self._images:
            raise Unusable("image missing from JPEGImages")
        annotation = config.folder / "Annotations" / f"{name}.xml"
        if not annotation.exists():
            raise Unusable("annotation missing")
        root, file = read_xml(annotation), self._images[name]
        encoded, (height, width) = _stored_image(file, root, config.max_pixels)
        things, remarks = read_objects(root, height, width, config.class_names)
        return file.name, encoded, (height, width), things, remarks


def prepare_devkit(
    *,
    devkit: str,
    splits: tuple[str, ...],
    data_dir: str,
    class_names: tuple[str, ...] = (),
    max_pixels: int = image_file.MAX_PIXELS,
) -> tfds.core.DatasetBuilder:
    """Prepares a folder in VOC layout once, and again whenever one of its files has changed.

    Args:
        devkit: the folder with Annotations/, JPEGImages/ and ImageSets/Main/, or one that holds just one such folder.
        splits: names of files in ImageSets/Main, without .txt.
        data_dir: where prepared copies are kept.
        class_names: the classes, label 1 first; empty takes every name in the annotations, sorted.
        max_pixels: larger images are skipped before they are decoded.

    Raises:
        InputError: a folder or split file is missing, nothing in a split can be used, or data_dir cannot be written.
    """
    folder, splits, class_names = layout.find_devkit(devkit), tuple(dict.fromkeys(splits)), tuple(class_names)
    for split in splits:
        layout.read_split(folder, split)
        if split == "all" or not re.fullmatch(r"[\w-]+", split):
            raise InputError(
                f"devkit: TFDS cannot name a split {split!r}; rename the file with letters, digits, _ or -."
            )
    if len(set(class_names)) != len(class_names):
        raise InputError(f"class_names must differ, got {class_names}; name each class once.")
    key = f"{folder.name}-{layout.fingerprint(folder, splits, class_names, max_pixels)}"
    directory = Path(data_dir).expanduser().absolute() / "voc_folder" / key / str(VocFolder.VERSION)
    done = prepared(directory)
    if done is not None:
        return done
    config = VocFolderConfig(
        name=key,
        folder=folder,
        splits=splits,
        class_names=class_names or layout.find_class_names(folder),
        max_pixels=max_pixels,
    )
    return prepare(VocFolder, config, directory)


def _stored_image(file: Path, root: Element, max_pixels: int) -> tuple[bytes, tuple[int, int]]:
    """The bytes to store, which any decoder reads as the annotator saw the image, and its (height, width).

    An EXIF-rotated photo is taken upright or as stored, whichever the annotation's size fits. Where both fit (a square,
    or half a turn) it is upright: that is how annotation tools and browsers have shown it.
    """
    try:
        encoded = file.read_bytes()
        shot = image_file.read(encoded, name=file.name, max_pixels=max_pixels)
    except InputError as error:
        raise Unusable(str(error).removeprefix(f"image {file.name}: ").removesuffix(".")) from error
    except OSError as error:  # a folder, a link to nowhere, a file that may not be read
        raise Unusable(f"cannot be read ({error.strerror})") from error
    stored, upright = shot.pixels.shape[:2], shot.upright()
    annotated = annotated_size(root)
    if annotated is None and upright.shape[:2] != stored:
        raise Unusable("rotated by EXIF, and its annotation has no <size> to say whether the boxes are, too")
    if annotated in (None, upright.shape[:2]):
        pixels, as_is = upright, shot.plain and shot.orientation == 1
    elif annotated == stored:
        pixels, as_is = shot.pixels, shot.plain
    else:
        raise Unusable(f"is {stored[1]} x {stored[0]}, but its annotation says {annotated[1]} x {annotated[0]}")
    return encoded if as_is else _png(pixels), pixels.shape[:2]


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def _summary(what: str, kept: int, images: dict[str, list[str]], objects: dict[str, list[str]]) -> str:
    lines = [f"{what}: {kept} images kept, {sum(map(len, images.values()))} skipped"]
    for kind, faults in (("skipped", images), ("in kept images", objects)):
        for reason, names in faults.items():
            shown = ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
            lines.append(f"  {len(names)} {kind}: {reason}: {shown}")
    return "\n".join(lines)
