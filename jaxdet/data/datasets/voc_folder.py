"""TFDS builder for a folder in VOC layout with any classes; faulty files are skipped and reported."""

import dataclasses
import hashlib
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
from jaxdet.data.class_names import parse_names
from jaxdet.data.datasets import features
from jaxdet.data.datasets import voc_layout as layout
from jaxdet.data.datasets.prepare import empty_indices, index_image, new_index, prepare, prepared
from jaxdet.data.datasets.prepared_copy import report_earlier
from jaxdet.data.datasets.voc_xml import annotated_size, read_objects, read_xml
from jaxdet.data.datasets.xml_file import Unusable
from jaxdet.io.atomic import atomic_write
from jaxdet.io.progress import progress

log = logging.getLogger(__name__)

NAMES_SHOWN = 10  # per fault, in the summary; skipped.json has all
FAULTS_SHOWN = 30
SKIPPED = "skipped.json"


@dataclasses.dataclass
class VocFolderConfig(tfds.core.BuilderConfig):
    """The settings of prepare_devkit; class_names is complete."""

    folder: Path = Path()
    splits: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    max_pixels: int = image_file.MAX_PIXELS
    annotated: bool = True


class VocFolder(tfds.core.GeneratorBasedBuilder):
    """Builds records with the features of TFDS `voc`; `skipped.json` beside the records lists every fault.

    skipped.json: split -> {"images": {fault: names}, "objects": {fault: names}}; an image's name appears once per
    faulty object.
    """

    VERSION = tfds.core.Version("1.1.0")

    @property
    def _settings(self) -> VocFolderConfig:
        assert isinstance(self.builder_config, VocFolderConfig)
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.features(self._settings.class_names),
            disable_shuffling=True,
            metadata=empty_indices(self._settings.splits),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, dict]]]:
        folder = self._settings.folder
        self._images, self._annotations = layout.image_index(folder), layout.annotation_index(folder)
        self._skipped: dict[str, dict[str, dict[str, list[str]]]] = {}
        return {split: self._generate_examples(split) for split in self._settings.splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
        listed = layout.read_split(self._settings.folder, split)
        index = new_index(self, split)
        images: dict[str, list[str]] = defaultdict(list)  # fault -> image names
        objects: dict[str, list[str]] = defaultdict(list)
        seen: set[str] = set()
        renamed: list[str] = []
        for listed_name in progress(listed, name=f"preparing {split}", total=len(listed)):
            try:
                name, file = self._images.find(listed_name)
                if name in seen:
                    raise Unusable("listed twice")
                seen.add(name)
                encoded, (height, width), annotated, faults = self._read_image(name, file)
            except Unusable as error:
                images[str(error)].append(listed_name)
                continue
            if name != listed_name:
                renamed.append(f"{listed_name} is {file.relative_to(self._settings.folder)}")
            for fault in faults:
                objects[fault].append(name)
            index_image(index, name, height, width, annotated)
            yield len(index["names"]) - 1, features.example(f"{name}{file.suffix}", encoded, height, width, annotated)
        self._skipped[split] = {"images": images, "objects": objects}
        if renamed:
            log.info("%s: %d images are listed by another name: %s", split, len(renamed), _first(renamed))
        summary = _summary(f"{self._settings.folder}, {split}", len(index["names"]), images, objects)
        missing = next((names[0] for reason, names in images.items() if reason.startswith("image missing")), "")
        if missing and (close := self._images.nearest(missing)):
            summary += f"\n  did you mean {close!r} by {_first([missing])!r}?"
        log.log(logging.WARNING if images or objects else logging.INFO, summary)
        if not index["names"]:
            raise InputError(f"devkit: no image can be used. {summary}")
        with atomic_write(Path(self.data_dir) / SKIPPED) as out:
            out.write(json.dumps(self._skipped, indent=1).encode())

    def _read_image(self, name: str, file: Path) -> tuple[bytes, tuple[int, int], list[features.VocObject], list[str]]:
        """Return bytes to store, (height, width), usable objects, and a fault per unusable object.

        Raises:
          Unusable: the image cannot be used.
        """
        settings = self._settings
        if not settings.annotated:
            encoded, (height, width) = _stored_image(file, None, settings.max_pixels)
            return encoded, (height, width), [], []
        root = read_xml(self._annotations.find_same(name))
        encoded, (height, width) = _stored_image(file, root, settings.max_pixels)
        objects, faults = read_objects(root, height, width, settings.class_names)
        return encoded, (height, width), objects, faults


def prepare_devkit(
    *,
    devkit: str,
    splits: tuple[str, ...],
    data_dir: str,
    class_names: tuple[str, ...] = (),
    max_pixels: int = image_file.MAX_PIXELS,
    annotated: bool = True,
) -> tfds.core.DatasetBuilder:
    """Prepare a folder in VOC layout once, and again whenever one of its files changes.

    Args:
      devkit: the folder with Annotations/, JPEGImages/ and ImageSets/Main/, or one that holds exactly one such folder.
      splits: names of files in ImageSets/Main, without .txt.
      data_dir: folder of prepared copies.
      class_names: see class_names.parse_names; label 1 first. Empty takes every name in the annotations, sorted.
      max_pixels: larger images are skipped before they are decoded.
      annotated: False reads the images only, for splits without annotations; class_names must be given then.

    Raises:
      InputError: a folder or split file is missing, a class name cannot be used, a split has no usable image, or
        data_dir cannot be written.
    """
    folder = layout.find_devkit(devkit, annotated=annotated)
    splits, class_names = tuple(dict.fromkeys(splits)), parse_names(class_names)
    for split in splits:
        layout.read_split(folder, split)
        if split == "all" or not re.fullmatch(r"[\w-]+", split):
            raise InputError(
                f"devkit: TFDS cannot name a split {split!r}; rename the file with letters, digits, _ or -."
            )
    settings = (splits, class_names, max_pixels) if annotated else (splits, class_names, max_pixels, "not annotated")
    place = hashlib.sha256(repr((str(folder), settings)).encode()).hexdigest()[:8]
    prefix = f"{folder.name}-{place}-"  # of all copies of this folder with these settings
    key = prefix + layout.fingerprint(folder, settings)
    directory = Path(data_dir).absolute() / "voc_folder" / key / str(VocFolder.VERSION)
    existing = prepared(directory)
    if existing is not None:
        return existing
    config = VocFolderConfig(
        name=key,
        folder=folder,
        splits=splits,
        class_names=class_names or layout.find_class_names(folder),
        max_pixels=max_pixels,
        annotated=annotated,
    )
    builder = prepare(VocFolder, config, directory)
    faults = json.loads((directory / SKIPPED).read_text())
    if any(kind for of_split in faults.values() for kind in of_split.values()):
        log.warning("every skipped image and object is named in %s", directory / SKIPPED)
    report_earlier(directory, prefix)
    return builder


def _stored_image(file: Path, root: Element | None, max_pixels: int) -> tuple[bytes, tuple[int, int]]:
    """Return the bytes to store, which every decoder shows as the annotator saw the image, and its (height, width).

    An EXIF-rotated image is stored upright or unrotated, whichever fits the annotation's size. If both fit (a square,
    or half a turn), or there is no annotation (root is None), it is stored upright: so annotation tools and browsers
    show it.
    """
    try:
        encoded = image_file.read_content(file, name=file.name, max_pixels=max_pixels)
        image = image_file.read(encoded, name=file.name, max_pixels=max_pixels)
    except InputError as error:
        raise Unusable(str(error).removeprefix(f"image {file.name}: ").removesuffix(".")) from error
    upright, (height, width) = image.upright(), image.pixels.shape[:2]
    annotated = upright.shape[:2] if root is None else annotated_size(root)
    if annotated is None and upright.shape[:2] != (height, width):
        raise Unusable("rotated by EXIF, and its annotation has no <size> that tells whether its boxes are rotated too")
    if annotated in (None, upright.shape[:2]):
        pixels, as_is = upright, image.plain and image.orientation == 1
    elif annotated == (height, width):
        pixels, as_is = image.pixels, image.plain
    else:
        raise Unusable(f"is {width} x {height}, but its annotation says {annotated[1]} x {annotated[0]}")
    return encoded if as_is else _png(pixels), (pixels.shape[0], pixels.shape[1])


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def _summary(source: str, usable: int, images: dict[str, list[str]], objects: dict[str, list[str]]) -> str:
    """Return the number of usable and skipped images, and a line per fault with the first names."""
    lines = [f"{source}: {usable} images used, {sum(map(len, images.values()))} skipped"]
    for kind, faults in (("skipped", images), ("in used images", objects)):
        for reason, names in faults.items():
            lines.append(f"  {len(names)} {kind}: {reason}: {_first(names)}")
    if len(lines) > FAULTS_SHOWN + 1:
        lines[FAULTS_SHOWN + 1 :] = [f"  {len(lines) - FAULTS_SHOWN - 1} more reasons: see {SKIPPED}"]
    return "\n".join(lines)


def _first(names: list[str]) -> str:
    return ", ".join(name[:80] for name in names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
