"""Preparing a data set once as array_record files, reading the prepared copy, and its image index.

The image index holds the name, size and object count of every image of a split, in the order of the records, so that
opening a split decodes no image. It is TFDS metadata of the copy; for copies of TFDS's own `voc` it is a separate file.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxdet.checks import InputError
from jaxdet.data.datasets.features import VocObject
from jaxdet.data.datasets.prepared_copy import check_files, damaged, preparing, write_manifest
from jaxdet.data.image_file import open_image
from jaxdet.io.atomic import atomic_write
from jaxdet.io.folder import CANNOT_WRITE, cannot_write
from jaxdet.io.progress import progress

log = logging.getLogger(__name__)

Index = dict[str, list[Any]]  # "names", "image_sizes" (height, width), "object_counts" (without difficult objects)


def empty_index() -> Index:
    """Return the index of a split without images."""
    return {"names": [], "image_sizes": [], "object_counts": []}


def empty_indices(splits: tuple[str, ...]) -> tfds.core.MetadataDict:
    """Return TFDS metadata with an empty index per split; the builders fill it in the order of the records."""
    return tfds.core.MetadataDict({split: empty_index() for split in splits})


def new_index(builder: tfds.core.DatasetBuilder, split: str) -> Index:
    """Return the index in the metadata of a split that is being prepared, to be filled with index_image."""
    assert builder.info.metadata is not None
    return builder.info.metadata[split]


def index_image(index: Index, name: str, height: int, width: int, objects: list[VocObject]) -> None:
    """Add the next record to the index of its split."""
    index["names"].append(name)
    index["image_sizes"].append([height, width])
    index["object_counts"].append(sum(not each.difficult for each in objects))


def read_index(builder: tfds.core.DatasetBuilder, split: str) -> Index:
    """Return the image index of a prepared split.

    A copy that TFDS's own `voc` prepared has none: its records are read once, and the index is cached in
    DATA_DIR/image_index under a hash of the copy's files.
    """
    if builder.info.metadata:
        return builder.info.metadata[split]
    cache = Path(builder.data_path.parents[2]) / "image_index" / f"{builder.name}-{_files_hash(builder)}-{split}.json"
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):  # missing or damaged: read again
        return json.loads(cache.read_text())
    index = _index_records(builder, split)
    try:
        with atomic_write(cache) as file:
            file.write(json.dumps(index).encode())
    except OSError as error:
        if not cache.exists():  # else another process has written it meanwhile
            log.warning("the image index of %s cannot be cached and is read each time: %s", builder.data_path, error)
    return index


class Records(Sequence[dict[str, Any]]):
    """The records of a prepared split; images are the bytes of their files.

    Raises:
      InputError: when it is opened, or at a record: the prepared copy is damaged.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str):
        self._directory = Path(builder.data_path)
        with self._reading():
            self._source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
            self._length = len(self._source)
        expected = builder.info.splits[split].num_examples
        if self._length != expected:
            raise damaged(self._directory, f"{split} has {self._length} records, not {expected}")

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: Any) -> Any:
        """Return record i, counted from 0."""
        if not 0 <= i < self._length:
            raise IndexError(i)
        with self._reading():
            return self._source[i]

    def damaged(self, reason: str) -> InputError:
        """Return the error for a record that cannot be used."""
        return damaged(self._directory, reason)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # array_record and TFDS raise ValueError, RuntimeError, IndexError, OSError, ...
            raise self.damaged(str(error) or type(error).__name__) from error


def open_records(builder: tfds.core.DatasetBuilder, split: str) -> Records:
    """Return random access to the records of a prepared split."""
    return Records(builder, split)


def prepared(directory: Path) -> tfds.core.DatasetBuilder | None:
    """Return the builder of a complete prepared copy, or None. (TFDS renames only finished copies into place.)

    Raises:
      InputError: files of the copy are missing or damaged; see prepared_copy.check_files.
    """
    if not directory.exists():
        return None
    check_files(directory)
    try:
        return tfds.builder_from_directory(directory)
    except Exception as error:  # of TFDS, protobuf or JSON
        raise damaged(directory, str(error)) from error


def prepare(
    builder_class: type[tfds.core.GeneratorBasedBuilder],
    config: tfds.core.BuilderConfig,
    directory: Path,
    *,
    manual_dir: Path | None = None,
) -> tfds.core.DatasetBuilder:
    """Generate the records, unless another process finishes first.

    Args:
      builder_class, config: what to generate.
      directory: where the copy will be: DATA_DIR/NAME/CONFIG/VERSION, as TFDS has it.
      manual_dir: TFDS's folder of files that need no download; None for DATA_DIR/downloads/manual.

    Raises:
      InputError: the folder cannot be written, or the disk is full.
      OSError: any other failure of the system.
    """
    home = directory.parents[2]
    try:
        with preparing(directory.parents[1]), _quiet():
            log.info("preparing %s, once", directory)
            builder = builder_class(data_dir=str(home), config=config)
            downloads = tfds.download.DownloadConfig(manual_dir=manual_dir)
            builder.download_and_prepare(file_format="array_record", download_config=downloads)
            write_manifest(directory)
    except (OSError, RuntimeError) as error:  # array_record raises RuntimeError
        existing = prepared(directory)
        if existing is not None:
            log.info("%s was prepared by another process meanwhile", directory)
            return existing
        if not _cannot_write(error):
            raise
        raise InputError(
            f"data_dir: cannot prepare the data set in {directory}: {error}; "
            "free space there or set data_dir to a folder you can write to."
        ) from error
    return tfds.builder_from_directory(directory)


def _cannot_write(error: OSError | RuntimeError) -> bool:
    """Return whether an error, of array_record too, says that the folder is not writable or the disk is full."""
    if isinstance(error, OSError):
        return cannot_write(error)
    return any(os.strerror(number) in str(error) for number in CANNOT_WRITE)


def _index_records(builder: tfds.core.DatasetBuilder, split: str) -> Index:
    log.info("reading the image sizes of %s, %s", builder.data_path, split)
    index = empty_index()
    records = open_records(builder, split)
    for example in progress(records, name=f"image sizes of {split}", total=len(records)):
        with open_image(example["image"]) as image:  # reads the header only
            index["image_sizes"].append([image.height, image.width])
        index["names"].append(Path(example["image/filename"].decode()).stem)
        index["object_counts"].append(int(np.logical_not(example["objects"]["is_difficult"]).sum()))
    return index


def _files_hash(builder: tfds.core.DatasetBuilder) -> str:
    files = sorted(Path(builder.data_path).iterdir())
    listed = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(listed).encode()).hexdigest()[:16]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress TFDS's own bars and messages, which speak of downloads; the builders show their progress."""
    absl_logger = logging.getLogger("absl")
    level = absl_logger.level
    absl_logger.setLevel(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl_logger.setLevel(level)
        tfds.enable_progress_bar()
