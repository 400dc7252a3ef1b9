"""PASCAL VOC 2007 and 2012: TFDS builder from the official archives or an extracted VOCdevkit, sums of splits."""

import dataclasses
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from jaxdet.checks import InputError, one_of
from jaxdet.data import image_file
from jaxdet.data.dataset import PreparedDataset
from jaxdet.data.datasets import features, voc_archives
from jaxdet.data.datasets import voc_layout as layout
from jaxdet.data.datasets.prepare import empty_indices, index_image, new_index, prepare, prepared
from jaxdet.data.datasets.voc_xml import read_objects, read_xml
from jaxdet.data.datasets.xml_file import Unusable
from jaxdet.io.progress import progress

log = logging.getLogger(__name__)

TFDS_VERSION = "5.0.0"  # of TFDS's own builder of the same name and features
LISTS = {"train": "train", "validation": "val", "test": "test"}  # files of ImageSets/Main
SPLITS = {"2007": tuple(LISTS), "2012": ("train", "validation")}  # 2012's test images have no boxes
CLASS_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@dataclasses.dataclass
class VocConfig(tfds.core.BuilderConfig):
    """Year, splits and source of a builder."""

    year: str = ""
    splits: tuple[str, ...] = ()
    folder: Path | None = None  # an extracted VOCdevkit/VOC<year>; None: the archives


class Voc(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]  # its metaclass has it
    """Builds records with the features, classes and splits of TFDS `voc`, in the order of the official lists.

    The archives come from TFDS's download manager: from its manual folder, else downloaded. `prepare_voc` fills that
    folder first. (Not registered, because TFDS's own `voc` has the same name.)
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [VocConfig(name=year, year=year, splits=splits) for year, splits in SPLITS.items()]

    @property
    def _settings(self) -> VocConfig:
        assert isinstance(self.builder_config, VocConfig)
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.features(CLASS_NAMES),
            disable_shuffling=True,
            metadata=empty_indices(self._settings.splits),
        )

    @property
    def url_infos(self) -> dict[str, UrlInfo]:
        """Sizes and checksums for TFDS's download manager."""
        archives = voc_archives.ARCHIVES[self._settings.year]
        return {archive.address: UrlInfo(archive.size, archive.sha256, archive.name) for archive in archives}

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, dict]]]:
        config = self._settings
        if config.folder is not None:
            read = _folder_reader(config.folder)
        else:
            archives = [_checked(dl_manager, address) for address in self.url_infos]
            read = voc_archives.reader(config.year, archives)
        return {split: self._generate_examples(split, read) for split in config.splits}

    def _generate_examples(self, split: str, read: Callable[[str], bytes]) -> Iterator[tuple[int, dict]]:
        source, index = f"VOC {self._settings.year}", new_index(self, split)
        faults: Counter[str] = Counter()
        names = read(f"ImageSets/Main/{LISTS[split]}.txt").decode().split()
        for i, name in enumerate(progress(names, name=f"preparing {split}", total=len(names))):
            if not re.fullmatch(r"\w+", name):  # it becomes part of paths
                raise InputError(f"{source}: {split} must list names, got {name!r}; replace the list.")
            encoded = read(f"JPEGImages/{name}.jpg")
            # The boxes refer to the stored pixels: the annotators' tools ignored EXIF's orientation.
            height, width, _ = image_file.read(encoded, name=f"{name}.jpg").pixels.shape
            try:
                root = read_xml(read(f"Annotations/{name}.xml"))
            except Unusable as error:
                raise InputError(f"{source}: {name}.xml: {error}; replace the file.") from error
            objects, object_faults = read_objects(root, height, width, CLASS_NAMES)
            faults.update(object_faults)
            index_image(index, name, height, width, objects)
            yield i, features.example(f"{name}.jpg", encoded, height, width, objects)
        log.info("%s, %s: %d images", source, split, len(names))
        for fault, count in faults.items():
            log.warning("%s, %s: %d times: %s", source, split, count, fault)


def open_voc(*, split: str, data_dir: str, devkit: str, archives: str, mirror: str) -> PreparedDataset:
    """Open parts of PASCAL VOC by year and split, prepared first if needed.

    Args:
      split: YEAR/SPLIT, or a sum of such: '2007/trainval+2012/trainval' is what papers call 07+12, and
        '2007/trainval+2007/test+2012/trainval' 07++12. The splits are train, validation (or val), trainval, which is
        the sum of both, and for 2007 test. A slice as in TFDS may follow: '2007/train[:10%]'.
      data_dir, devkit, archives, mirror: as in prepare_voc.

    Raises:
      InputError: see prepare_voc; the split does not exist, it has no boxes (2012/test), or an image comes twice.
    """
    parts = [part for term in split.split("+") for part in _year_and_split(term.strip())]
    sources = {"data_dir": data_dir, "devkit": devkit, "archives": archives, "mirror": mirror}
    builders = {year: prepare_voc(year=year, **sources) for year in dict.fromkeys(year for year, _ in parts)}
    return PreparedDataset(*((builders[year], name) for year, name in parts))


def _year_and_split(term: str) -> list[tuple[str, str]]:
    """'2007/trainval' -> [('2007', 'train'), ('2007', 'validation')]."""
    year, _, split = term.partition("/")
    name, bracket, slice_end = split.partition("[")
    if year not in SPLITS or name not in (*LISTS, "val", "trainval"):
        raise InputError(
            f"split {term!r} must be a year and a split of VOC; such as 2007/trainval, 2007/test or 2012/trainval."
        )
    if name == "trainval":
        if bracket:
            raise InputError(
                f"split {term!r}: trainval has no order to slice; slice {year}/train and {year}/validation."
            )
        return [(year, "train"), (year, "validation")]
    name = "validation" if name == "val" else name
    if name not in SPLITS[year]:
        raise InputError(
            f"split {term!r} has no boxes to train on or to score with: they are secret; name one of "
            f"{', '.join(SPLITS[year])} of {year}, or 2007/test."
        )
    return [(year, name + bracket + slice_end)]


def prepare_voc(
    *, year: str, data_dir: str, devkit: str = "", archives: str = "", mirror: str = ""
) -> tfds.core.DatasetBuilder:
    """Prepare VOC 2007 (train, validation, test) or 2012 (train, validation), or return the prepared copy.

    A copy that TFDS's own `voc` prepared in DATA_DIR as array_record has precedence.

    Args:
      year: '2007' or '2012'.
      data_dir: folder of prepared copies.
      devkit: an extracted VOCdevkit, with the splits it has; '' for the archives. Read again when a file changes.
      archives: folder of the official archives; missing ones are downloaded to it. '' for DATA_DIR/downloads/manual.
      mirror: address of a folder to download them from; '' for the organisers' site and TFDS's copy.

    Raises:
      InputError: no such year; an archive cannot be downloaded, has another checksum or lacks a file; a folder is
        missing, incomplete or cannot be written.
    """
    one_of("VOC: year", year, SPLITS)
    home = Path(data_dir).absolute()
    if devkit:
        folder = _find_year(devkit, year)
        splits = _find_splits(folder, year)
        config = VocConfig(name=f"{year}-{layout.fingerprint(folder)}", year=year, splits=splits, folder=folder)
        directory = home / "voc" / config.name / str(Voc.VERSION)
        return prepared(directory) or prepare(Voc, config, directory)
    directory = home / "voc" / year / str(Voc.VERSION)
    existing = _prepared_by_tfds(directory.with_name(TFDS_VERSION)) or prepared(directory)
    if existing is not None:
        return existing
    manual = Path(archives).absolute() if archives else home / "downloads" / "manual"
    voc_archives.obtain(voc_archives.ARCHIVES[year], manual, mirror=mirror)
    return prepare(Voc, Voc.builder_configs[year], directory, manual_dir=manual)


def _find_year(devkit: str, year: str) -> Path:
    """Return the folder VOC<year> of an extracted VOCdevkit."""
    top = Path(devkit).absolute()
    inside = [folder for folder in (top / f"VOC{year}", top / "VOCdevkit" / f"VOC{year}") if folder.is_dir()]
    folder = layout.find_devkit(str(inside[0] if inside else top))
    if folder.name in {f"VOC{other}" for other in SPLITS} - {f"VOC{year}"}:
        raise InputError(f"devkit: {folder} must be of the year {year}; name VOC{year}, or the VOCdevkit with both.")
    return folder


def _find_splits(folder: Path, year: str) -> tuple[str, ...]:
    """Return the splits of a year that the folder has lists of."""
    splits = tuple(split for split in SPLITS[year] if (folder / f"ImageSets/Main/{LISTS[split]}.txt").exists())
    if not splits:
        wanted = ", ".join(f"{LISTS[split]}.txt" for split in SPLITS[year])
        raise InputError(f"devkit: {folder}/ImageSets/Main has none of {wanted}; name an extracted VOCdevkit.")
    return splits


def _prepared_by_tfds(directory: Path) -> tfds.core.DatasetBuilder | None:
    """Return TFDS's own prepared copy, if it is stored as array_record."""
    builder = prepared(directory)
    if builder is None:
        return None
    formats = [builder.info.file_format, *builder.info.alternative_file_formats]
    if tfds.core.FileFormat.ARRAY_RECORD in formats:
        return builder
    log.warning(
        "%s is not used: it is stored as %s; prepare it with file_format='array_record'",
        *(directory, ", ".join(kind.value for kind in formats)),
    )
    return None


def _checked(dl_manager: tfds.download.DownloadManager, address: str) -> Path:
    """Return the archive from the manual folder (or as TFDS has downloaded it), its size and checksum verified."""
    try:
        return Path(dl_manager.download(address))
    except NonMatchingChecksumError as error:
        file = address.rpartition("/")[2]
        raise InputError(
            f"VOC: archive {file} must have its official size and sha256, got another file ({error}); "
            "delete it, so that it is downloaded again, or put the right one in its place."
        ) from error


def _folder_reader(folder: Path) -> Callable[[str], bytes]:
    """Return a function: path in the folder -> content of the file."""

    def read(path: str) -> bytes:
        try:
            return (folder / path).read_bytes()
        except OSError as error:
            raise InputError(
                f"devkit: {folder / path} must be readable, got {error.strerror}; extract the archives again."
            ) from error

    return read
