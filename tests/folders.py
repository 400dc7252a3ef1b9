"""Folders of images and annotations in several formats, of files written in a few lines."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from jaxdet.data.datasets.folder_format import ListedImage
from jaxdet.data.datasets.xml_file import Unusable

SIZE = (60, 80)  # height, width of every image


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write files by their path below the folder; a .jpg whose content is empty is an image of SIZE."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if content == "" and file.suffix.lower() in (".jpg", ".png"):
            Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(file)
        else:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def voc_xml(*objects: tuple) -> str:
    """Return an annotation with objects (class, xmin, ymin, xmax, ymax)."""
    text = f"<annotation><size><width>{SIZE[1]}</width><height>{SIZE[0]}</height></size>"
    for name, *numbers in objects:
        keys = ("xmin", "ymin", "xmax", "ymax")
        corners = "".join(f"<{key}>{n}</{key}>" for key, n in zip(keys, numbers, strict=True))
        text += f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>"
    return text + "</annotation>"


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the size and time of every file and folder, which reading must not change."""
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


def coco_json(images: list, annotations: list | None, categories: list | None = None) -> str:
    """Return COCO's JSON; categories by default are 3 cat and 7 dog."""
    content: dict = {"images": images, "categories": categories or [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]}
    if annotations is not None:
        content["annotations"] = annotations
    return json.dumps(content)


def outcomes(images: Iterable[ListedImage], folder: Path) -> dict[str, str]:
    """Return an image's name -> its file below the folder, or why it cannot be used."""
    entries = {}
    for image in images:
        try:
            name, file = image.find()
            image.annotation()
            entries[name] = str(file.relative_to(folder))
        except Unusable as fault:
            entries[image.listed] = str(fault)
    return entries
