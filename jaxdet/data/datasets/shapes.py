"""The generated demo set: textured shapes that overlap on cluttered grounds, told apart by shape and not by colour.

1 to 6 objects an image, sides 10 to 42 % of the image's, each at least 25 % visible and none flagged difficult. Boxes
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
from jaxdet.data.datasets.prepare import empty_indices, index_image, prepare, prepared
from jaxdet.io.progress import progress

MAX_OBJECTS = 6
SIDES = (0.10, 0.42)  # of the image's side
MIN_VISIBLE = 0.25
SPLITS = ("train", "validation", "test")


@dataclasses.dataclass
class Scene:
    """One picture and its objects; `visible` holds the share of each object's area that can be seen."""

    image: np.ndarray  # u8[S,S,3] RGB
    names: list[str]
    boxes: np.ndarray  # f64[G,4]
    visible: np.ndarray  # f64[G]
    truncated: list[bool]


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
    """Draws a picture of `size` x `size` pixels with 1 to 6 shapes, later ones in front of earlier ones."""
    picture = shape_drawing.background(rng, size)
    shapes: list[_Shape] = []
    for _ in range(rng.integers(1, MAX_OBJECTS + 1)):
        shape = _place(rng, size, shapes)
        if shape is None:
            continue
        for behind in shapes:
            behind.seen[shape.patch] *= 1 - shape.seen[shape.patch]
        shapes.append(shape)
        fill = shape_drawing.texture(rng, size, shape.patch)
        fill += (shape_drawing.rim_colour(rng) - fill) * shape.rim[..., None]
        picture[shape.patch] += (fill - picture[shape.patch]) * shape.seen[shape.patch][..., None]
    return Scene(
        image=np.clip(np.round(picture), 0, 255).astype(np.uint8),
        names=[shape.name for shape in shapes],
        boxes=np.array([np.clip(shape.extent, 0, size) for shape in shapes]).reshape(-1, 4),
        visible=np.array([shape.seen.sum() / shape.area for shape in shapes]),
        truncated=[bool(shape.extent.min() < 0 or shape.extent.max() > size) for shape in shapes],
    )


@dataclasses.dataclass
class _Shape:
    name: str
    extent: np.ndarray  # f64[4] box, not clipped
    area: float  # of the whole outline, in pixels
    patch: tuple[slice, slice]
    rim: np.ndarray  # f32 of the patch
    seen: np.ndarray  # f32[S,S] coverage of what is visible


def _place(rng: np.random.Generator, size: int, shapes: list[_Shape]) -> _Shape | None:
    """Finds a place in which the new shape and all those behind it stay visible enough, or None after 20 tries.

    A tenth of the tries lie next to an earlier shape, besides those that fall there by chance.
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
        left = [(behind.seen.sum() - (behind.seen[patch] * inside).sum()) / behind.area for behind in shapes]
        if min([*left, inside.sum() / area]) >= MIN_VISIBLE:
            seen = np.zeros((size, size), np.float32)
            seen[patch] = inside
            extent = np.concatenate([points.min(axis=0), points.max(axis=0)])
            return _Shape(name, extent, area, patch, rim, seen)
    return None


@dataclasses.dataclass
class ShapesConfig(tfds.core.BuilderConfig):
    image_size: int = 192
    counts: tuple[int, ...] = ()  # images of train, validation, test
    seed: int = 0


class Shapes(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of the demo set, with the features of `voc`."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.features(shape_drawing.CLASS_NAMES),
            disable_shuffling=True,
            metadata=empty_indices(SPLITS),
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
        config, place = self.builder_config, SPLITS.index(split)
        index, size = self.info.metadata[split], config.image_size
        for i in progress(range(config.counts[place]), name=f"drawing {split}", total=config.counts[place]):
            scene = draw_scene(np.random.default_rng((config.seed, place, i)), size)  # no split shares a seed
            name = f"{split}_{i:05d}"
            objects = [
                features.VocObject(kind, tuple(box), difficult=False, truncated=cut)
                for kind, box, cut in zip(scene.names, scene.boxes.tolist(), scene.truncated, strict=True)
            ]
            bgr = cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
            encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            index_image(index, name, size, size, objects)
            yield i, features.example(f"{name}.jpg", encoded, size, size, objects)


def prepare_shapes(
    *, data_dir: str, image_size: int, train: int, validation: int, test: int, seed: int
) -> tfds.core.DatasetBuilder:
    """Generates the demo set once; splits 'train', 'validation' and 'test' of that many images.

    Raises:
        InputError: a count below 1, an image too small to tell the shapes apart, or a data_dir that cannot be written.
    """
    if min(train, validation, test) < 1 or image_size < 96:
        raise InputError(
            f"shapes: needs at least 1 image a split and image_size of at least 96, got train={train}, "
            f"validation={validation}, test={test}, image_size={image_size}; take those of configs/faster_shapes.py."
        )
    counts = (train, validation, test)
    # A copy drawn by other code is another data set, so the code is part of the key.
    drawing = "".join(Path(module).read_text() for module in (__file__, shape_drawing.__file__))
    key = hashlib.sha256(repr((image_size, counts, seed, drawing)).encode()).hexdigest()[:12]
    config = ShapesConfig(name=key, image_size=image_size, counts=counts, seed=seed)
    directory = Path(data_dir).expanduser().absolute() / "shapes" / key / str(Shapes.VERSION)
    return prepared(directory) or prepare(Shapes, config, directory)
