"""TFDS builder for PASCAL VOC 2007 and 2012, from the official archives or an extracted VOCdevkit."""

import dataclasses
import io
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from jaxdet.checks import InputError, nearest
from jaxdet.data import image_file
from jaxdet.data.dataset import PreparedDataset
from jaxdet.data.datasets import features, voc_archives
from jaxdet.data.datasets import voc_layout as layout
from jaxdet.data.datasets.prepare import empty_indices, index_image, prepare, prepared
from jaxdet.data.datasets.voc_xml import Unusable, read_objects, read_xml
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
    year: str = ""
    splits: tuple[str, ...] = ()
    folder: Path | None = None  # an extracted VOCdevkit/VOC<year>; None: the archives


class Voc(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Features, classes and splits of TFDS `voc`, in the order of the official lists.

    As it is, it takes the archives from TFDS's download manager: from its manual folder, or else downloaded;
    `prepare_voc` fills that folder first. (Not registered, since TFDS's own `voc` may be, too.)
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [VocConfig(name=year, year=year, splits=splits) for year, splits in SPLITS.items()]

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.features(CLASS_NAMES),
            disable_shuffling=True,
            metadata=empty_indices(self.builder_config.splits),
        )

    @property
    def url_infos(self) -> dict[str, UrlInfo]:
        """The sums that TFDS's download manager asks for."""
        archives = voc_archives.ARCHIVES[self.builder_config.year]
        return {archive.address: UrlInfo(archive.size, archive.sha256, archive.name) for archive in archives}

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        config = self.builder_config
        if config.folder is not None:
            read = _folder_reader(config.folder)
        else:
            archives = [_checked(dl_manager, address) for address in self.url_infos]
            read = voc_archives.reader(config.year, archives)
        return {split: self._generate_examples(split, read) for split in config.splits}

    def _generate_examples(self, split: str, read: Callable[[str], bytes]) -> Iterator[tuple[int, dict]]:
        index, remarks = self.info.metadata[split], Counter()
        names = read(f"ImageSets/Main/{LISTS[split]}.txt").decode().split()
        for i, name in enumerate(progress(names, name=f"preparing {split}", total=len(names))):
            if not re.fullmatch(r"\w+", name):  # it becomes part of paths
                raise InputError(
                    f"VOC {self.builder_config.year}: {split} must list names, got {name!r}; replace the list."
                )
            encoded = read(f"JPEGImages/{name}.jpg")
            # The boxes refer to the stored pixels, whatever EXIF says: the annotators' tools ignored it.
            size = image_file.read(encoded, name=f"{name}.jpg").pixels.shape[:2]
            try:
                root = read_xml(io.BytesIO(read(f"Annotations/{name}.xml")))
            except Unusable as fault:
                raise InputError(f"VOC {self.builder_config.year}: {name}.xml: {fault}; replace the file.") from fault
            objects, faults = read_objects(root, *size, CLASS_NAMES)
            remarks.update(faults)
            index_image(index, name, *size, objects)
            yield i, features.example(f"{name}.jpg", encoded, *size, objects)
        log.info("VOC %s, %s: %d images", self.builder_config.year, split, len(names))
        for fault, count in remarks.items():
            log.warning("VOC %s, %s: %d times: %s", self.builder_config.year, split, count, fault)


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
    """Prepares VOC 2007 (train, validation, test) or 2012 (train, validation) once, or finds the prepared copy.

    A copy that TFDS's own `voc` has prepared in DATA_DIR as array_record is taken where there is one.

    Args:
        year: '2007' or '2012'.
        data_dir: where prepared copies are kept.
        devkit: an extracted VOCdevkit, with the splits it has; '' for the archives. Read again when a file changes.
        archives: folder of the official archives; those missing are downloaded to it. '' for DATA_DIR/downloads/manual.
        mirror: address of a folder to download them from; '' for the organisers' site and TFDS's copy.

    Raises:
        InputError: no such year; an archive that cannot be had, has another checksum or lacks a file; a folder that is
            missing, incomplete or cannot be written.
    """
    if year not in SPLITS:
        raise InputError(f"VOC: no year {year!r}; {nearest(year, SPLITS)}")
    home = Path(data_dir).expanduser().absolute()
    if devkit:
        folder = _find_year(devkit, year)
        splits = _find_splits(folder, year)
        config = VocConfig(name=f"{year}-{layout.fingerprint(folder)}", year=year, splits=splits, folder=folder)
        directory = home / "voc" / config.name / str(Voc.VERSION)
        return prepared(directory) or prepare(Voc, config, directory)
    directory = home / "voc" / year / str(Voc.VERSION)
    done = _prepared_by_tfds(directory.with_name(TFDS_VERSION)) or prepared(directory)
    if done is not None:
        return done
    manual = Path(archives).expanduser().absolute() if archives else home / "downloads" / "manual"
    voc_archives.obtain(voc_archives.ARCHIVES[year], manual, mirror=mirror)
    return prepare(Voc, Voc.builder_configs[year], directory, manual_dir=manual)


def _find_year(devkit: str, year: str) -> Path:
    top = Path(devkit).expanduser().absolute()
    inside = [folder for folder in (top / f"VOC{year}", top / "VOCdevkit" / f"VOC{year}") if folder.is_dir()]
    folder = layout.find_devkit(str(inside[0] if inside else top))
    if folder.name in {f"VOC{other}" for other in SPLITS} - {f"VOC{year}"}:
        raise InputError(f"devkit: {folder} must be of the year {year}; name VOC{year}, or the VOCdevkit with both.")
    return folder


def _find_splits(folder: Path, year: str) -> tuple[str, ...]:
    splits = tuple(split for split in SPLITS[year] if (folder / f"ImageSets/Main/{LISTS[split]}.txt").exists())
    if not splits:
        wanted = ", ".join(f"{LISTS[split]}.txt" for split in SPLITS[year])
        raise InputError(f"devkit: {folder}/ImageSets/Main has none of {wanted}; name an extracted VOCdevkit.")
    return splits


def _prepared_by_tfds(directory: Path) -> tfds.core.DatasetBuilder | None:
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
    """The archive in the manual folder (or as TFDS has downloaded it), once its size and sum are right."""
    try:
        return Path(dl_manager.download(address))
    except NonMatchingChecksumError as error:
        file = address.rpartition("/")[2]
        raise InputError(
            f"VOC: archive {file} must have its official size and sha256, got another file ({error}); "
            "delete it, so that it is downloaded again, or put the right one in its place."
        ) from error


def _folder_reader(folder: Path) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        try:
            return (folder / path).read_bytes()
        except OSError as error:
            raise InputError(
                f"devkit: {folder / path} must be readable, got {error.strerror}; extract the archives again."
            ) from error

    return read
