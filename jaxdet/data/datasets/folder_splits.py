"""The images of a split that a config names: the folder's own splits by any of their usual names, or sampled ones."""

import dataclasses
import hashlib
import re
import unicodedata
from pathlib import PurePosixPath

from jaxdet.checks import InputError, nearest
from jaxdet.data.datasets.folder_format import EVERYTHING, FolderFormat, ListedImage
from jaxdet.data.image_file import SUFFIXES

NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
SHARE = 0.15  # of the images for val, and as many for test, where they are sampled
SEED = 0  # of the sampling, whatever config.seed is: runs with several seeds then have the same splits
# Folders inside a data set that say what their files are: no part of an image's name.
IMAGE_FOLDERS = frozenset(("images", "image", "imgs", "img", "jpegimages", "photos"))
ANNOTATION_FOLDERS = frozenset(("annotations", "annotation", "annots", "xml", "xmls", "labels"))


@dataclasses.dataclass(frozen=True)
class ChosenImages:
    """The images of a split; `sampled` has the names of all splits of the folder's, if this one is sampled."""

    images: list[ListedImage]
    sampled: dict[str, list[str]] | None = None
    source: str = ""  # the split that they are sampled from


def choose_images(folder: FolderFormat, split: str) -> ChosenImages:
    """Return the images of a split of the folder, of a sampled split where it has none of that name.

    A folder without splits, or without a validation split, has SHARE of its training images in val, and in test where
    that is missing too. A hash of its name decides where an image belongs, so it stays there when files are added.

    Raises:
      InputError: there is no such split, several may be meant, or there are fewer than three images to sample from.
    """
    names = folder.splits()
    pool = _sampled_from(folder, names)
    if split in names and split != pool:
        return ChosenImages(folder.images(split))
    if pool and split == EVERYTHING:
        return ChosenImages(folder.images(pool))
    usual = usual_name(split)
    same = [name for name in names if usual and usual_name(name) == usual]
    if len(same) > 1:
        raise InputError(
            f"devkit: split {split!r} of {folder.folder} may be any of {', '.join(same)}; set splits to the one you "
            f"mean, such as --config.splits.{ {'val': 'validation'}.get(usual, usual) }={same[0]}."
        )
    if same and same[0] != pool:
        return ChosenImages(folder.images(same[0]))
    if folder.fixed_splits and not pool:
        return ChosenImages(folder.images(split))  # its error names the file that is missing
    missing = [name for name in NAMES if not any(usual_name(other) == name for other in names)]
    if pool is None or usual not in (*missing, "train"):
        raise InputError(
            f"devkit: {folder.folder} has no split {split!r}; {nearest(split, names)} (a folder without validation: "
            "--config.splits.validation= --config.training.eval_every=0; without test: evaluate.py --split=validation)."
        )
    images = folder.images(pool)
    sampled = sample_splits(images, missing)
    return ChosenImages(sampled[usual], {name: [i.listed for i in part] for name, part in sampled.items()}, pool)


def sample_splits(images: list[ListedImage], missing: list[str]) -> dict[str, list[ListedImage]]:
    """Return train with all images but those of the `missing` ones of val and test, each in the order of the images.

    Each split has at least one image.

    Raises:
      InputError: there are fewer than three images.
    """
    if len(images) < 3:
        raise InputError(
            f"devkit: train, val and test must be sampled from at least 3 images, got {len(images)}; add images or "
            f"train on all without validation: --config.splits.train={EVERYTHING} --config.splits.validation= "
            "--config.training.eval_every=0."
        )
    shares = [_uniform(image.listed) for image in images]
    order = sorted(range(len(images)), key=lambda i: (shares[i], images[i].listed))
    lowest, middle, highest = order[0], order[len(order) // 2], order[-1]  # one each for test, train and val
    members: dict[str, set[int]] = {}
    if "test" in missing:
        members["test"] = {i for i in order if shares[i] < SHARE} - {middle, highest} or {lowest}
    if "val" in missing:
        members["val"] = {i for i in order if shares[i] >= 1 - SHARE} - {middle, lowest} or {highest}
    members["train"] = set(order).difference(*members.values())
    return {name: [images[i] for i in sorted(members[name])] for name in NAMES if name in members}


def usual_name(split: str) -> str:
    """Return train, val or test for any usual name of these, with a year or not, in any letter case; '' for others."""
    name = re.sub(r"[-_]?(19|20)\d\d$", "", split.casefold())
    return next((usual for usual, names in NAMES.items() if name in names), "")


def image_id(path: str) -> str:
    """Return a path without suffix and without folders such as images/ and annotations/.

    It never leads out of a folder, because results are written by it: a leading / and any .. are left out.
    """
    parts = PurePosixPath(path.replace("\\", "/")).parts
    unnamed = IMAGE_FOLDERS | ANNOTATION_FOLDERS | {"/", "//", ".."}
    folders = [part for part in parts[:-1] if part.casefold() not in unnamed]
    stem, dot, suffix = parts[-1].rpartition(".") if parts else ("", "", "")
    is_suffix = stem and f".{suffix.lower()}" in (*SUFFIXES, ".xml", ".txt", ".json")
    return "/".join([*folders, stem if is_suffix else "".join(parts[-1:])])


def _sampled_from(folder: FolderFormat, names: tuple[str, ...]) -> str | None:
    """Return the split that missing ones are sampled from; None where none is."""
    if names == (EVERYTHING,):
        return EVERYTHING
    usual = {usual_name(name): name for name in names}
    # A folder that has a validation split was split by its maker: its training images stay where they are.
    return None if folder.fixed_splits or "val" in usual else usual.get("train")


def _uniform(listed: str) -> float:
    """Return a number in [0, 1) that depends on an image's name only."""
    name = unicodedata.normalize("NFC", image_id(listed))
    return int.from_bytes(hashlib.sha256(f"{SEED} {name}".encode("utf-8", "surrogateescape")).digest()[:6]) / 2**48
