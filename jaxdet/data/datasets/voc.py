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
from jaxdet.data.datasets.folder_format import fingerprint
from jaxdet.data.datasets.prepare import empty_indices, index_image, new_index, prepare, prepared
from jaxdet.data.datasets.voc_xml import read_objects, read_xml
from jaxdet.data.datasets.xml_file import Unusable
from jaxdet.io.folder import full_path
from jaxdet.io.progress import progress

log = logging.getLogger(__name__)

TFDS_VERSION = "5.0.0"  # of TFDS's own builder of the same name and features
LISTS = {"train": "train", "validation": "val", "test": "test"}  # files of ImageSets/Main
SPLITS = {"2007": tuple(LISTS), "2012": ("train", "validation")}
SECRET = {"2012": ("test",)}  # only PASCAL's server has the objects; Annotations/ has some people, for other tasks
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
    annotated: bool = True

    @property
    def archives(self) -> tuple[voc_archives.Archive, ...]:
        """The archives that have the splits."""
        return voc_archives.ARCHIVES[_release(self.year, self.annotated)]


class Voc(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]  # its metaclass has it
    """Builds records with the features, classes and splits of TFDS `voc`, in the order of the official lists.

    The archives come from TFDS's download manager: from its manual folder, else downloaded. `prepare_voc` fills that
    folder first. (Not registered, because TFDS's own `voc` has the same name.)
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        *(VocConfig(name=year, year=year, splits=splits) for year, splits in SPLITS.items()),
        *(VocConfig(name=f"{y}-test", year=y, splits=splits, annotated=False) for y, splits in SECRET.items()),
    ]

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
        archives = self._settings.archives
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
            objects: list[features.VocObject] = []
            if self._settings.annotated:
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


def is_annotated(split: str) -> bool:
    """Return whether every part of a sum of splits has annotations; see open_voc."""
    return not any(_is_secret(term) for term in split.split("+"))


def open_voc(
    *, split: str, data_dir: str, devkit: str, archives: str, mirror: str, annotated: bool = True
) -> PreparedDataset:
    """Open parts of PASCAL VOC by year and split, prepared first if needed.

    Args:
      split: YEAR/SPLIT, or a sum of such: '2007/trainval+2012/trainval' is what papers call 07+12, and
        '2007/trainval+2007/test+2012/trainval' 07++12. The splits are train, validation (or val), trainval, which is
        the sum of both, and for 2007 test. A slice as in TFDS may follow: '2007/train[:10%]'.
      data_dir, devkit, archives, mirror: as in prepare_voc.
      annotated: False opens 2012/test, whose images have no objects here, and slices of it.

    Raises:
      InputError: see prepare_voc; the split does not exist, it has no boxes (2012/test) though `annotated`, only some
        of its parts have boxes, or an image comes twice.
    """
    terms = [term.strip() for term in split.split("+")]
    if not annotated and not all(_is_secret(term) for term in terms):
        raise InputError(
            f"split {split!r} must have boxes in all parts or in none, got both; evaluate 2012/test alone."
        )
    parts = [part for term in terms for part in _year_and_split(term, annotated=annotated)]
    years = dict.fromkeys(year for year, _ in parts)
    builders = {
        year: prepare_voc(
            year=year, data_dir=data_dir, devkit=devkit, archives=archives, mirror=mirror, annotated=annotated
        )
        for year in years
    }
    return PreparedDataset(*((builders[year], name) for year, name in parts))


def _is_secret(term: str) -> bool:
    year, _, split = term.partition("[")[0].strip().partition("/")
    return split in SECRET.get(year, ())


def _year_and_split(term: str, *, annotated: bool) -> list[tuple[str, str]]:
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
    if annotated and _is_secret(term):
        raise InputError(
            f"split {term!r} has no boxes to train on or to score with: they are secret; name one of "
            f"{', '.join(SPLITS[year])} of {year}, or 2007/test."
        )
    return [(year, name + bracket + slice_end)]


def prepare_voc(
    *, year: str, data_dir: str, devkit: str = "", archives: str = "", mirror: str = "", annotated: bool = True
) -> tfds.core.DatasetBuilder:
    """Prepare VOC 2007 (train, validation, test) or 2012 (train, validation), or return the prepared copy.

    A copy that TFDS's own `voc` prepared in DATA_DIR as array_record has precedence.

    Args:
      year: '2007' or '2012'.
      data_dir: folder of prepared copies.
      devkit: an extracted VOCdevkit, with the splits it has; '' for the archives. Read again when a file changes.
      archives: folder of the official archives; missing ones are downloaded to it. '' for DATA_DIR/downloads/manual.
      mirror: address of a folder to download them from; '' for the organisers' site and TFDS's copy.
      annotated: False prepares the test images of 2012 without objects, and nothing else.

    Raises:
      InputError: no such year; an archive cannot be downloaded, has another checksum or lacks a file; a folder is
        missing, incomplete or cannot be written.
    """
    splits_of_year = SPLITS if annotated else SECRET
    one_of("VOC: year", year, splits_of_year)
    home, release = Path(data_dir).absolute(), _release(year, annotated)
    if devkit:
        folder = _find_year(devkit, year, annotated=annotated)
        splits = _find_splits(folder, splits_of_year[year])
        name = f"{release}-{fingerprint(folder, layout.files_of(folder))}"
        config = VocConfig(name=name, year=year, splits=splits, folder=folder, annotated=annotated)
        directory = home / "voc" / config.name / str(Voc.VERSION)
        return prepared(directory) or prepare(Voc, config, directory)
    directory = home / "voc" / release / str(Voc.VERSION)
    existing = _prepared_by_tfds(home / "voc" / year / TFDS_VERSION) or prepared(directory)
    if existing is not None:
        return existing
    manual = Path(archives).absolute() if archives else home / "downloads" / "manual"
    voc_archives.obtain(voc_archives.ARCHIVES[release], manual, mirror=mirror)
    return prepare(Voc, Voc.builder_configs[release], directory, manual_dir=manual)


def _release(year: str, annotated: bool) -> str:
    """Return the name of the archives and of the prepared copy."""
    return year if annotated else f"{year}-test"


def _find_year(devkit: str, year: str, *, annotated: bool) -> Path:
    """Return the folder VOC<year> of an extracted VOCdevkit."""
    top = full_path(devkit)
    inside = [folder for folder in (top / f"VOC{year}", top / "VOCdevkit" / f"VOC{year}") if folder.is_dir()]
    folder = layout.find_devkit(str(inside[0] if inside else top), annotated=annotated)
    if folder.name in {f"VOC{other}" for other in SPLITS} - {f"VOC{year}"}:
        raise InputError(f"devkit: {folder} must be of the year {year}; name VOC{year}, or the VOCdevkit with both.")
    return folder


def _find_splits(folder: Path, of_year: tuple[str, ...]) -> tuple[str, ...]:
    """Return the splits of a year that the folder has lists of."""
    splits = tuple(split for split in of_year if (folder / f"ImageSets/Main/{LISTS[split]}.txt").exists())
    if not splits:
        wanted = ", ".join(f"{LISTS[split]}.txt" for split in of_year)
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
