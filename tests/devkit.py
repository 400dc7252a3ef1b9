"""Folders in VOC layout."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image


@dataclasses.dataclass
class Devkit:
    """Writes the files of a folder in VOC layout."""

    folder: Path

    def __post_init__(self):
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (self.folder / name).mkdir(parents=True)

    def split(self, split: str, *names: str) -> None:
        (self.folder / "ImageSets/Main" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))

    def image(self, name: str, image=None, *, suffix: str = ".jpg", **options) -> Path:
        file = self.folder / "JPEGImages" / f"{name}{suffix}"
        if image is None:
            rng = np.random.default_rng(sum(name.encode()))
            image = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((80, 60))
        image.save(file, **options)
        return file

    def annotation(self, name: str, *objects: tuple, size: tuple[int, int] | None = (60, 80)) -> Path:
        """Write an annotation. Objects are (class, xmin, ymin, xmax, ymax) and, optionally, a dict of more elements."""
        xml = "<annotation>"
        if size is not None:
            xml += f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>"
        for kind, xmin, ymin, xmax, ymax, *more in objects:
            further = "".join(f"<{key}>{value}</{key}>" for key, value in (more[0] if more else {}).items())
            xml += (
                f"<object><name>{kind}</name>{further}<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>"
                f"<xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox></object>"
            )
        file = self.folder / "Annotations" / f"{name}.xml"
        file.write_text(xml + "</annotation>")
        return file
