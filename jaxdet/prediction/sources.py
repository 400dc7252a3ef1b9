"""What the arguments of predict mean: images and videos, by path, folder, glob or address, each with its own place."""

import dataclasses
import glob
import logging
import os
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from jaxdet.checks import InputError
from jaxdet.data import image_file
from jaxdet.io.download import Unavailable
from jaxdet.io.fetch import fetch, is_address
from jaxdet.io.file_name import safe_file_name
from jaxdet.io.output_folder import listed_results

log = logging.getLogger(__name__)

NAMES_SHOWN = 10  # of the images that are not read
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".mts", ".m2ts"),
    ".ogv",
)


@dataclasses.dataclass(frozen=True)
class Source:
    """An image or a video.

    Attributes:
      name: its path or address, as the results list it.
      place: its path in the output folder, without a suffix, such as "day1/cat".
    """

    name: str
    place: str

    @property
    def path(self) -> Path | None:
        """The file; None for an address."""
        return None if is_address(self.name) else Path(self.name)

    @property
    def is_video(self) -> bool:
        """Whether the name is that of a video file."""
        return self.path is not None and self.path.suffix.lower() in VIDEO_SUFFIXES

    def read_image(self, *, max_pixels: int) -> np.ndarray:
        """Return the upright image u8[H,W,3] RGB; errors as in image_file.decode, also where it cannot be fetched."""
        if self.path is not None:
            return image_file.decode(self.path, name=self.name, max_pixels=max_pixels)
        try:
            content = fetch(self.name)
        except Unavailable as error:
            raise InputError(f"image {self.name}: cannot be fetched ({error}); check the address.") from error
        return image_file.decode(content, name=self.name, max_pixels=max_pixels)


def find_sources(arguments: Sequence[str]) -> list[Source]:
    """Return the images and videos that the arguments name, in their order.

    A folder is searched at any depth, by name, and `**` in a glob means any depth; their subfolders become folders of
    the output. Hidden files, what links to folders, and results of jaxdet in subfolders are left out. The log counts
    what else is no image or video, and names the images of formats that are not read.

    Raises:
      InputError: a path does not exist, a folder or glob has no image or video, or nothing is named.
    """
    if not arguments:
        raise InputError("photos: none given; name files or folders, as in: predict.py --workdir=... photo.jpg folder/")
    sources: list[Source] = []
    for argument in arguments:
        if is_address(argument):
            sources.append(Source(argument, _place_of_address(argument)))
        elif (path := Path(argument)).is_dir():
            sources += _in_folder(path)
        elif path.exists():
            sources.append(Source(str(path), path.stem))
        elif any(character in argument for character in "*?["):
            sources += _matching(argument)
        else:
            raise InputError(
                f"photos: there is no file or folder {argument}; name photos, or a folder that holds some."
            )
    return sources


def _in_folder(folder: Path) -> list[Source]:
    """Return the images and videos in a folder at any depth, by name."""
    paths: list[Path] = []
    results: set[Path] = set()
    unopened: list[str] = []
    links = 0
    for parent, subfolders, names in os.walk(
        folder, onerror=lambda error: unopened.append(os.fsdecode(error.filename))
    ):
        here = Path(parent)
        if here != folder:
            results |= {here / name for name in listed_results(here)}
        links += sum((here / name).is_symlink() for name in subfolders)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        paths += [here / name for name in sorted(names) if not name.startswith(".")]
    for name in unopened:
        log.warning("skipped: folder %s cannot be opened; change its permissions", name)
    ours = [path for path in paths if path in results]
    if ours:
        log.info("%s: %d results of jaxdet ignored", folder, len(ours))
    if links:
        log.info("%s: %d links to folders not followed", folder, links)
    sources = _readable(str(folder), [path for path in paths if path not in results], root=folder)
    if not sources:
        raise InputError(f"photos: no photo in {folder}; looked for {', '.join(image_file.SUFFIXES)}, and for videos.")
    return sources


def _matching(pattern: str) -> list[Source]:
    """Return the images and videos that match a glob, and those in folders that match one without `**`."""
    matches = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if any(character in part for character in "*?["))
    root = Path(*parts[:fixed])
    sources = _readable(pattern, [path for path in matches if not path.is_dir()], root=root)
    for path in matches if "**" not in pattern else []:
        if path.is_dir():
            place = path.relative_to(root).as_posix()
            sources += [
                dataclasses.replace(source, place=_inside(f"{place}/{source.place}")) for source in _in_folder(path)
            ]
    if not sources:
        raise InputError(
            f"photos: nothing fits {pattern!r}; looked for {', '.join(image_file.SUFFIXES)}, and for videos."
        )
    return sources


def _readable(searched: str, paths: Iterable[Path], *, root: Path) -> list[Source]:
    """Return the images and videos of the paths, and log what was left out."""
    sources: list[Source] = []
    unread: list[str] = []
    others = 0
    for path in paths:
        suffix = path.suffix.lower()
        if suffix in image_file.SUFFIXES or suffix in VIDEO_SUFFIXES:
            sources.append(Source(str(path), _inside(path.relative_to(root).with_suffix("").as_posix())))
        elif suffix in image_file.OTHER_SUFFIXES:
            unread.append(path.name)
        else:
            others += 1
    if unread:
        shown = ", ".join(unread[:NAMES_SHOWN]) + (", ..." if len(unread) > NAMES_SHOWN else "")
        log.warning(
            "%s: %d images of formats that are not read: %s; convert them to JPEG", searched, len(unread), shown
        )
    if others:
        log.info("%s: %d other files ignored", searched, others)
    return sources


def _inside(place: str) -> str:
    """Return a place without `..`, which would lead out of the output folder."""
    return "/".join(part for part in place.split("/") if part != "..")


def _place_of_address(address: str) -> str:
    path = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(address).path))
    return safe_file_name(path.stem, "") or "image"
