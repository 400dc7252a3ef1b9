"""Preparing a data set once as array_record, and finding the prepared copy again."""

import contextlib
import errno
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from jaxdet.checks import InputError
from jaxdet.data.datasets.features import VocObject

logger = logging.getLogger(__name__)

CANNOT_WRITE = (errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS)


def image_index(splits: tuple[str, ...]) -> tfds.core.MetadataDict:
    """What is stored beside the records so that opening a split needs no decoding; the generators fill it in order."""
    return tfds.core.MetadataDict({split: {"names": [], "image_sizes": [], "object_counts": []} for split in splits})


def note_image(index: dict, name: str, height: int, width: int, objects: list[VocObject]) -> None:
    """Adds the next record to its split's part of the image index."""
    index["names"].append(name)
    index["image_sizes"].append([height, width])
    index["object_counts"].append(sum(not thing.difficult for thing in objects))


def prepared(directory: Path) -> tfds.core.DatasetBuilder | None:
    """The builder of a complete prepared copy, or None. TFDS renames a finished copy into place, never a half one."""
    if not (directory / "dataset_info.json").exists():
        return None
    return tfds.builder_from_directory(directory)


def prepare(
    builder_class: type[tfds.core.GeneratorBasedBuilder],
    config: tfds.core.BuilderConfig,
    directory: Path,
    *,
    manual_dir: Path | None = None,
) -> tfds.core.DatasetBuilder:
    """Generates the records, unless another process has done so meanwhile.

    Args:
        directory: where the copy will lie, DATA_DIR/NAME/CONFIG/VERSION as TFDS puts it.
        manual_dir: TFDS's folder of files that need no download; None for DATA_DIR/downloads/manual.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
        OSError: any other failure of the system.
    """
    try:
        logger.info("preparing %s, once", directory)
        with _quiet():
            builder = builder_class(data_dir=str(directory.parents[2]), config=config)
            downloads = tfds.download.DownloadConfig(manual_dir=manual_dir)
            builder.download_and_prepare(file_format="array_record", download_config=downloads)
    except OSError as error:
        done = prepared(directory)
        if done is not None:
            logger.info("%s was prepared by another process meanwhile", directory)
            return done
        if error.errno not in CANNOT_WRITE:
            raise
        raise InputError(
            f"data_dir: cannot prepare the data set in {directory}: {error}; "
            "free space there or set data_dir to a folder you can write to."
        ) from error
    return prepared(directory)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without TFDS's own bars and remarks, which speak of downloads; the generators show their progress."""
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
