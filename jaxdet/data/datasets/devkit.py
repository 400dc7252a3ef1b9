"""TFDS builder for a folder of annotated images in any format; faulty files are skipped and reported."""

import dataclasses
import hashlib
import json
import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from jaxdet.checks import InputError, listed
from jaxdet.data import image_file
from jaxdet.data.class_names import parse_names
from jaxdet.data.datasets import features
from jaxdet.data.datasets.folder_format import EVERYTHING, FolderFormat, fingerprint
from jaxdet.data.datasets.folder_images import SkippedImage, read_images
from jaxdet.data.datasets.folder_splits import SEED, ChosenImages, choose_images, image_id
from jaxdet.data.datasets.formats import open_folder
from jaxdet.data.datasets.prepare import empty_indices, index_image, new_index, prepare, prepared
from jaxdet.data.datasets.prepared_copy import report_earlier
from jaxdet.io.atomic import atomic_write
from jaxdet.io.progress import progress

log = logging.getLogger(__name__)

NAMES_SHOWN = 10  # per fault, in the summary; skipped.json has all
FAULTS_SHOWN = 30
SKIPPED = "skipped.json"


@dataclasses.dataclass
class DevkitConfig(tfds.core.BuilderConfig):
    """The settings of prepare_devkit; class_names is complete."""

    source: FolderFormat | None = None
    splits: dict[str, ChosenImages] = dataclasses.field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    max_pixels: int = image_file.MAX_PIXELS
    annotated: bool = True


class Devkit(tfds.core.GeneratorBasedBuilder):
    """Builds records with the features of TFDS `voc`; `skipped.json` beside the records lists every fault.

    skipped.json: split -> {"images": {fault: names}, "objects": {fault: names}}; an image's name appears once per
    faulty object. sampled_splits.json, where splits are sampled: the names of the images of each.
    """

    VERSION = tfds.core.Version("1.2.0")

    @property
    def _settings(self) -> DevkitConfig:
        assert isinstance(self.builder_config, DevkitConfig)
        return self.builder_config

    @property
    def _source(self) -> FolderFormat:
        assert self._settings.source is not None
        return self._settings.source

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.features(self._settings.class_names, one_based=self._source.one_based),
            disable_shuffling=True,
            metadata=empty_indices(tuple(self._settings.splits)),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, dict]]]:
        self._skipped: dict[str, dict[str, dict[str, list[str]]]] = {}
        return {split: self._generate_examples(split, chosen) for split, chosen in self._settings.splits.items()}

    def _generate_examples(self, split: str, chosen: ChosenImages) -> Iterator[tuple[int, dict]]:
        source, index = self._source, new_index(self, split)
        images: dict[str, list[str]] = defaultdict(list)  # fault -> image names
        objects: dict[str, list[str]] = defaultdict(list)
        remarks: dict[str, list[str]] = defaultdict(list)
        settings, total = self._settings, len(chosen.images)
        read = read_images(
            chosen.images, settings.class_names, annotated=settings.annotated, max_pixels=settings.max_pixels
        )
        for image in progress(read, name=f"preparing {split}", total=total):
            if isinstance(image, SkippedImage):
                images[image.reason].append(image.listed)
                continue
            name, file, (height, width) = image.name, image.file, image.size
            for fault in image.faults:
                objects[fault].append(name)
            for remark in image.remarks:
                remarks[remark].append(name)
            if name != image_id(image.listed):
                remarks["are listed by another name"].append(
                    f"{image.listed} is {os.path.relpath(file, source.folder)}"
                )
            index_image(index, name, height, width, image.objects)
            example = features.example(
                f"{name}{file.suffix}", image.encoded, height, width, image.objects, one_based=source.one_based
            )
            yield len(index["names"]) - 1, example
        self._skipped[split] = {"images": images, "objects": objects}
        for remark, names in remarks.items():
            log.info("%s: %d images %s: %s", split, len(names), remark, _first(names))
        summary = _summary(f"{source.folder}, {split}", len(index["names"]), images, objects)
        missing = next((names[0] for reason, names in images.items() if reason.startswith("image missing")), "")
        if missing and (close := source.nearest(missing)):
            summary += f"\n  did you mean {close!r} by {_first([missing])!r}?"
        log.log(logging.WARNING if images or objects else logging.INFO, summary)
        if not index["names"]:
            raise InputError(f"devkit: no image can be used. {summary}")
        self._write(SKIPPED, self._skipped)
        if chosen.sampled is not None:
            self._write("sampled_splits.json", {"seed": SEED, "sampled_from": chosen.source, "splits": chosen.sampled})

    def _write(self, file: str, content: object) -> None:
        with atomic_write(Path(self.data_dir) / file) as out:
            out.write(json.dumps(content, indent=1).encode())


def prepare_devkit(
    *,
    devkit: str,
    splits: tuple[str, ...],
    data_dir: str,
    class_names: tuple[str, ...] = (),
    max_pixels: int = image_file.MAX_PIXELS,
    annotated: bool = True,
) -> tfds.core.DatasetBuilder:
    """Prepare a folder of annotated images once, and again whenever one of its files changes.

    Args:
      devkit: the folder, in any format that formats.open_folder recognises.
      splits: names of its splits; see folder_splits.choose_images.
      data_dir: folder of prepared copies.
      class_names: see class_names.parse_names; label 1 first. Empty takes all classes of the folder.
      max_pixels: larger images are skipped before they are decoded.
      annotated: False reads the images only, for splits without annotations; class_names must be given then.

    Raises:
      InputError: see open_folder and choose_images; a class name cannot be used, a split has no usable image, or
        data_dir cannot be written.
    """
    source = open_folder(devkit, annotated=annotated)
    splits, class_names = tuple(dict.fromkeys(splits)), parse_names(class_names)
    for split in splits:
        if split == "all" or not re.fullmatch(r"[\w-]+", split):
            raise InputError(f"devkit: TFDS cannot name a split {split!r}; rename it with letters, digits, _ or -.")
    settings = (source.name, splits, class_names, max_pixels, annotated)
    place = hashlib.sha256(repr((str(source.folder), settings)).encode()).hexdigest()[:8]
    prefix = f"{source.folder.name}-{place}-"  # of all copies of this folder with these settings
    key = prefix + fingerprint(source.folder, source.files(), settings)
    directory = Path(data_dir).absolute() / "devkit" / key / str(Devkit.VERSION)
    existing = prepared(directory)
    if existing is not None:
        log.info("%s, %s: reading the prepared copy %s", source.name, source.folder, directory)
        return existing
    chosen = {split: choose_images(source, split) for split in splits}
    class_names = class_names or source.class_names()
    _log_source(source, chosen, class_names)
    config = DevkitConfig(
        name=key, source=source, splits=chosen, class_names=class_names, max_pixels=max_pixels, annotated=annotated
    )
    builder = prepare(Devkit, config, directory)
    faults = json.loads((directory / SKIPPED).read_text())
    if any(kind for of_split in faults.values() for kind in of_split.values()):
        log.warning("every skipped image and object is named in %s", directory / SKIPPED)
    report_earlier(directory, prefix)
    return builder


def _log_source(source: FolderFormat, chosen: dict[str, ChosenImages], class_names: tuple[str, ...]) -> None:
    """Log the format, the number of images and classes, and where splits are sampled."""
    counts = ", ".join(f"{len(split.images)} {name}" for name, split in chosen.items())
    classes = f"{len(class_names)} {'class' if len(class_names) == 1 else 'classes'} ({_first([*class_names])})"
    log.info("Reading %s: %s images, %s", source.name, counts, classes)
    for name, split in chosen.items():
        if split.sampled is not None:
            parts = ", ".join(f"{len(names)} {part}" for part, names in split.sampled.items())
            whole = "is not split" if split.source == EVERYTHING else f"has no validation split beside {split.source!r}"
            log.info(
                "%s %s: %s is sampled by a hash of the images' names (%s); sampled_splits.json beside the prepared "
                "copy has the names",
                *(source.folder, whole, name, parts),
            )


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
    return listed([name[:80] for name in names], NAMES_SHOWN)
