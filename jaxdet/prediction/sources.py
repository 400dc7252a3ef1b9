"""Sources of prediction: images and videos by path, folder, glob or address, each with its place in the output."""

import dataclasses
import functools
import glob
import logging
import os
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from jaxdet.checks import InputError, listed
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
    """An image, a video, or a folder that cannot be searched.

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
        if self.path is not None and self.path.is_dir():
            raise InputError(f"folder {self.name}: cannot be opened; change its permissions.")
        if self.path is not None:
            return image_file.decode(self.path, name=self.name, max_pixels=max_pixels)
        try:
            content = fetch(self.name)
        except Unavailable as error:
            raise InputError(f"image {self.name}: cannot be fetched ({error}); check the address.") from error
        return image_file.decode(content, name=self.name, max_pixels=max_pixels)


def find_sources(arguments: Sequence[str]) -> list[Source]:
    """Return the images and videos that the arguments name, in their order, each once.

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
            sources += _some(_in_folder(path), f"no photo in {path}")
        elif path.exists():
            sources.append(Source(str(path), path.stem))
        elif any(character in argument for character in "*?["):
            sources += _some(_matching(argument), f"nothing fits {argument!r}")
        else:
            raise InputError(
                f"photos: there is no file or folder {argument}; name photos, or a folder that holds some."
            )
    by_file: dict[str, Source] = {}
    for source in sources:
        by_file.setdefault(source.name if source.path is None else os.path.abspath(source.path), source)
    return list(by_file.values())


def _some(sources: list[Source], error: str) -> list[Source]:
    if not sources:
        raise InputError(f"photos: {error}; looked for {', '.join(image_file.SUFFIXES)}, and for videos.")
    return sources


def _in_folder(folder: Path) -> list[Source]:
    """Return the images and videos in a folder at any depth, by name; a folder that cannot be opened counts as one."""
    paths: list[Path] = []
    unopened: list[Source] = []
    links = 0

    def note(error: OSError) -> None:
        path = Path(os.fsdecode(error.filename))
        unopened.append(Source(str(path), path.name))

    for parent, subfolders, names in os.walk(folder, onerror=note):
        here = Path(parent)
        links += sum((here / name).is_symlink() for name in subfolders)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        paths += [here / name for name in sorted(names) if not name.startswith(".")]
    if links:
        log.info("%s: %d links to folders not followed", folder, links)
    return _readable(str(folder), paths, root=folder) + unopened


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
            for source in _in_folder(path):
                sources.append(dataclasses.replace(source, place=_inside(f"{place}/{source.place}")))
    return sources


def _readable(searched: str, paths: Iterable[Path], *, root: Path) -> list[Source]:
    """Return the images and videos of the paths, and log what was left out."""
    sources: list[Source] = []
    unread: list[str] = []
    others, results = 0, 0
    results_of = functools.cache(listed_results)

    def is_result(path: Path) -> bool:
        folders = (parent for parent in path.parents if root in parent.parents)
        return any(path.relative_to(folder).as_posix() in results_of(folder) for folder in folders)

    for path in paths:
        suffix = path.suffix.lower()
        if is_result(path):
            results += 1
        elif suffix in image_file.SUFFIXES or suffix in VIDEO_SUFFIXES:
            sources.append(Source(str(path), _inside(path.relative_to(root).with_suffix("").as_posix())))
        elif suffix in image_file.OTHER_SUFFIXES:
            unread.append(path.name)
        else:
            others += 1
    if unread:
        names = listed(unread, NAMES_SHOWN)
        log.warning(
            "%s: %d images of formats that are not read: %s; convert them to JPEG", searched, len(unread), names
        )
    if others:
        log.info("%s: %d other files ignored", searched, others)
    if results:
        log.info("%s: %d results of jaxdet ignored", searched, results)
    return sources


def _inside(place: str) -> str:
    """Return a place without `..`, which would lead out of the output folder."""
    return "/".join(part for part in place.split("/") if part != "..")


def _place_of_address(address: str) -> str:
    path = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(address).path))
    return safe_file_name(path.stem, "") or "image"
