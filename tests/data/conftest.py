"""A devkit in VOC layout made on the spot, and the small generated set."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxdet.data.shapes import prepare_shapes


@dataclasses.dataclass
class Devkit:
    """Writes the files of a VOC folder one by one."""

    folder: Path

    def __post_init__(self):
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (self.folder / name).mkdir(parents=True)

    def split(self, split: str, *names: str) -> None:
        (self.folder / "ImageSets/Main" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))

    def image(self, name: str, picture=None, *, suffix: str = ".jpg", **options) -> Path:
        file = self.folder / "JPEGImages" / f"{name}{suffix}"
        if picture is None:
            rng = np.random.default_rng(sum(name.encode()))
            picture = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((80, 60))
        picture.save(file, **options)
        return file

    def annotation(self, name: str, *objects: tuple, size: tuple[int, int] | None = (60, 80)) -> Path:
        """Objects are (class, xmin, ymin, xmax, ymax) or with a dict of further elements at the end."""
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


@pytest.fixture
def devkit(tmp_path) -> Devkit:
    return Devkit(tmp_path / "VOCdevkit" / "VOC2030")


@pytest.fixture(scope="session")
def shapes_builder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return prepare_shapes(data_dir=str(folder), image_size=96, train=13, validation=3, test=5, seed=1)
