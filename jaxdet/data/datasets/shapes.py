"""The generated demo set: overlapping textured shapes on cluttered backgrounds; only the shape tells the class.

1 to 6 objects per image, sides 10 to 42 % of the image's, each at least 25 % visible and none marked difficult. Boxes
are exact: the full extent of a shape, hidden parts included, clipped to the image.
"""

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tensorflow_datasets as tfds

from jaxdet.checks import InputError
from jaxdet.data.datasets import features, shape_drawing
from jaxdet.data.datasets.prepare import empty_indices, index_image, new_index, prepare, prepared
from jaxdet.io.progress import progress

MAX_OBJECTS = 6
SIDES = (0.10, 0.42)  # of the image's side
MIN_VISIBLE = 0.25
SPLITS = ("train", "validation", "test")


@dataclasses.dataclass
class Scene:
    """One image and its objects."""

    image: np.ndarray  # u8[S,S,3] RGB
    names: list[str]  # class of each object
    boxes: np.ndarray  # f64[G,4]
    visible: np.ndarray  # f64[G] visible share of each object's area
    truncated: list[bool]


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
    """Draw an image of `size` x `size` pixels with 1 to 6 shapes, later ones in front of earlier ones."""
    image = shape_drawing.background(rng, size)
    shapes: list[_Shape] = []
    for _ in range(rng.integers(1, MAX_OBJECTS + 1)):
        shape = _place(rng, size, shapes)
        if shape is None:
            continue
        for behind in shapes:
            behind.visible[shape.patch] *= 1 - shape.visible[shape.patch]
        shapes.append(shape)
        fill = shape_drawing.texture(rng, size, shape.patch)
        fill += (shape_drawing.rim_colour(rng) - fill) * shape.rim[..., None]
        image[shape.patch] += (fill - image[shape.patch]) * shape.visible[shape.patch][..., None]
    return Scene(
        image=np.clip(np.round(image), 0, 255).astype(np.uint8),
        names=[shape.name for shape in shapes],
        boxes=np.array([np.clip(shape.extent, 0, size) for shape in shapes]).reshape(-1, 4),
        visible=np.array([shape.visible.sum() / shape.area for shape in shapes]),
        truncated=[bool(shape.extent.min() < 0 or shape.extent.max() > size) for shape in shapes],
    )


@dataclasses.dataclass
class _Shape:
    name: str
    extent: np.ndarray  # f64[4] box, not clipped
    area: float  # of the whole outline, in pixels
    patch: tuple[slice, slice]
    rim: np.ndarray  # f32 of the patch
    visible: np.ndarray  # f32[S,S] coverage of the visible part


def _place(rng: np.random.Generator, size: int, shapes: list[_Shape]) -> _Shape | None:
    """Place a shape so that it and all those behind it stay visible enough; None after 20 tries.

    A tenth of the tries are next to an earlier shape, besides those that fall there by chance.
    """
    name = str(rng.choice(shape_drawing.CLASS_NAMES))
    for _ in range(20):
        points = shape_drawing.outline(name, rng) * rng.uniform(SIDES[0], SIDES[1]) * size
        reach = points.max(axis=0)
        if shapes and rng.random() < 0.1:
            near = shapes[rng.integers(len(shapes))].extent
            centre = rng.uniform(near[:2] - reach * 0.3, near[2:] + reach * 0.3)
        else:
            centre = rng.uniform(reach * 0.3, size - reach * 0.3)
        points += centre - reach / 2
        if np.ptp(np.clip(points, 0, size), axis=0).min() < SIDES[0] * size:
            continue
        patch = shape_drawing.patch(points, size)
        inside, rim = shape_drawing.mask(points, patch, rng.uniform(0.5, 0.06 * reach.max()))
        area = cv2.contourArea(points.astype(np.float32))
        shares = [(behind.visible.sum() - (behind.visible[patch] * inside).sum()) / behind.area for behind in shapes]
        if min([*shares, inside.sum() / area]) >= MIN_VISIBLE:
            visible = np.zeros((size, size), np.float32)
            visible[patch] = inside
            extent = np.concatenate([points.min(axis=0), points.max(axis=0)])
            return _Shape(name, extent, area, patch, rim, visible)
    return None


@dataclasses.dataclass
class ShapesConfig(tfds.core.BuilderConfig):
    """Size and number of the images, and their seed."""

    image_size: int = 192
    counts: tuple[int, ...] = ()  # images of train, validation, test
    seed: int = 0


class Shapes(tfds.core.GeneratorBasedBuilder):
    """Builds the demo set with the features of TFDS `voc`."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.features(shape_drawing.CLASS_NAMES),
            disable_shuffling=True,
            metadata=empty_indices(SPLITS),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, dict]]]:
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
        config, place, index = self.builder_config, SPLITS.index(split), new_index(self, split)
        assert isinstance(config, ShapesConfig)
        size = config.image_size
        for i in progress(range(config.counts[place]), name=f"drawing {split}", total=config.counts[place]):
            scene = draw_scene(np.random.default_rng((config.seed, place, i)), size)  # another seed in each split
            name = f"{split}_{i:05d}"
            objects = [
                features.VocObject(class_name, tuple(box), difficult=False, truncated=truncated)
                for class_name, box, truncated in zip(scene.names, scene.boxes.tolist(), scene.truncated, strict=True)
            ]
            bgr = cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
            encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            index_image(index, name, size, size, objects)
            yield i, features.example(f"{name}.jpg", encoded, size, size, objects)


def prepare_shapes(
    *, data_dir: str, image_size: int, train: int, validation: int, test: int, seed: int
) -> tfds.core.DatasetBuilder:
    """Generate the demo set, or return the prepared copy.

    Args:
      data_dir: folder of prepared copies.
      image_size: side of the square images, in pixels; at least 96, or the shapes cannot be told apart.
      train, validation, test: number of images of each split.
      seed: of the images.

    Raises:
      InputError: a number is too small, or data_dir cannot be written.
    """
    if min(train, validation, test) < 1 or image_size < 96:
        raise InputError(
            f"shapes: needs at least 1 image per split and image_size of at least 96, got train={train}, "
            f"validation={validation}, test={test}, image_size={image_size}; take those of configs/faster_shapes.py."
        )
    counts = (train, validation, test)
    # Other code draws other images, so the code is part of the key.
    drawing = "".join(Path(module).read_text() for module in (__file__, shape_drawing.__file__))
    key = hashlib.sha256(repr((image_size, counts, seed, drawing)).encode()).hexdigest()[:12]
    config = ShapesConfig(name=key, image_size=image_size, counts=counts, seed=seed)
    directory = Path(data_dir).absolute() / "shapes" / key / str(Shapes.VERSION)
    return prepared(directory) or prepare(Shapes, config, directory)
