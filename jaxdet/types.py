"""Values that pass between the modules: frozen dataclasses, registered as pytrees where they reach the device.

Letters for shapes, here and everywhere: N anchors, P proposals, R RoIs, G ground-truth slots, K classes (without
background), B batch, D detections. A box is continuous `[x1, y1, x2, y2]` float32 pixels covering x1 <= x < x2: its
width is x2 - x1, without the `+1` of the original code. On the device label 0 is background and classes are 1..K.

Arrays are padded to a static length and carry a `valid` mask; invalid slots hold finite values that never change a
valid result.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import jax
import numpy as np

Params = dict[str, Any]  # nested dict: layer name -> {"kernel", "bias"} -> f32 array
Metrics = dict[str, jax.Array]  # metric name -> scalar


@dataclasses.dataclass(frozen=True)
class Annotation:
    """The objects of one image: host arrays, unpadded, in original pixels."""

    name: str  # file name without suffix, unique in its split
    boxes: np.ndarray  # f32[G,4]
    labels: np.ndarray  # i32[G] 1..K
    difficult: np.ndarray  # bool[G]


@dataclasses.dataclass(frozen=True)
class Record(Annotation):
    """One annotated image."""

    image: np.ndarray  # u8[H,W,3] RGB


@dataclasses.dataclass(frozen=True)
class ProposalTable:
    """The proposals of every image of a split; table[i] gives those of image i, f32[n,4], best first."""

    boxes: np.ndarray  # f32[T,4] in original pixels, image after image
    starts: np.ndarray  # i64[N+1] image i has boxes[starts[i]:starts[i + 1]]
    # What was proposed for the mirrored images, mirrored back; None: the same boxes as for the images.
    mirrored: "ProposalTable | None" = None

    @property
    def tables(self) -> tuple["ProposalTable", ...]:
        """This table and, where there is one, that of the mirrored images."""
        return (self,) if self.mirrored is None else (self, self.mirrored)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        if not 0 <= i < len(self):
            raise IndexError(f"ProposalTable: image must be in 0..{len(self) - 1}, got {i}.")
        return self.boxes[self.starts[i] : self.starts[i + 1]]


Item_co = TypeVar("Item_co", covariant=True)


class Indexed(Protocol[Item_co]):
    """Random access without slices: x[i] for i in 0..len(x) - 1, IndexError beyond."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Item_co: ...

    def __iter__(self) -> Iterator[Item_co]:
        return (self[i] for i in range(len(self)))


class Dataset(Protocol):
    """An annotated split with random access; image i has one place in all attributes.

    Attributes:
      class_names: K names without background; label k is class_names[k - 1].
      names: N image names, each once.
      image_sizes: i32[N,2] original (height, width).
      object_counts: i32[N] objects that are not difficult.
      fingerprint: a key that changes with the names, their order, the pixels or the annotations.
    """

    class_names: tuple[str, ...]
    names: list[str]
    image_sizes: np.ndarray
    object_counts: np.ndarray

    @property
    def fingerprint(self) -> str: ...

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Record: ...

    def annotations(self, i: int) -> Annotation:
        """Read the objects of image i without decoding its pixels."""
        ...


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Batch:
    """Images of one bucket. Host batches hold numpy arrays; the device ones are sharded along B."""

    image: jax.Array  # u8[B,H,W,3] RGB, resized, placed top left; 0 outside the image
    image_size: jax.Array  # f32[B,2] (height, width) of the resized image inside its bucket
    scale: jax.Array  # f32[B] resized pixels per original pixel
    image_id: jax.Array  # i32[B] index of the image in its split
    image_valid: jax.Array  # bool[B] False for the rows that fill up an evaluation batch
    gt_boxes: jax.Array  # f32[B,G,4] in resized pixels; 0 where invalid
    gt_labels: jax.Array  # i32[B,G] 1..K; 0 where invalid
    gt_valid: jax.Array  # bool[B,G]
    proposals: jax.Array  # f32[B,P,4] boxes from a file, in resized pixels, best first; P = 0 where there are none
    proposals_valid: jax.Array  # bool[B,P]; invalid slots come last and hold boxes of zeros

    @property
    def random_id(self) -> jax.Array:
        """The number of each row, i32[B], on which its random numbers depend, besides the step: here the image's."""
        return self.image_id


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class WindowBatch(Batch):
    """Labelled windows of any images, one per row: `proposals` f32[B,1,4], all valid; there is no ground truth."""

    labels: jax.Array  # i32[B] 1..K, 0 for background
    row: jax.Array  # i32[B] row in the batch of all devices and accumulated parts

    @property
    def random_id(self) -> jax.Array:
        """The row: two windows of one image have other random numbers."""
        return self.row


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Proposals:
    """Class-agnostic boxes by descending objectness; invalid slots come last and hold boxes of zeros."""

    boxes: jax.Array  # f32[P,4]
    scores: jax.Array  # f32[P] objectness
    valid: jax.Array  # bool[P]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Matches:
    """Assignment of boxes to ground truth."""

    gt_index: jax.Array  # i32[N] the box's own best ground truth; 0 where there is none
    label: jax.Array  # i32[N] 1 positive, 0 negative, -1 ignored (and every invalid slot)
    iou: jax.Array  # f32[N] IoU with that ground truth; 0 where there is none


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RpnTargets:
    """Training targets of the region proposal network for every anchor (Faster R-CNN, 3.1.2)."""

    label: jax.Array  # i32[N] 1 object, 0 background, -1 not sampled
    deltas: jax.Array  # f32[N,4] encoded matched ground truth; 0 unless label is 1


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RoiTargets:
    """The sampled RoIs and their training targets (Fast R-CNN, 2.3)."""

    boxes: jax.Array  # f32[R,4] sampled RoIs, no gradient; 0 where invalid
    label: jax.Array  # i32[R] 0 background, 1..K; 0 where invalid
    deltas: jax.Array  # f32[R,4] encoded and normalised matched ground truth; 0 unless label > 0
    valid: jax.Array  # bool[R]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Detections:
    """Final boxes by descending score; invalid slots come last and hold zeros."""

    boxes: jax.Array  # f32[D,4]
    scores: jax.Array  # f32[D]
    labels: jax.Array  # i32[D] 1..K; 0 where invalid
    valid: jax.Array  # bool[D]


@dataclasses.dataclass(frozen=True)
class ImageDetections:
    """The detections of one image by descending score: host arrays, unpadded, in pixels of that image."""

    boxes: np.ndarray  # f32[n,4]
    scores: np.ndarray  # f32[n]
    labels: np.ndarray  # i32[n] 1..K
    class_names: tuple[str, ...]  # n names, one per box

    def __len__(self) -> int:
        return len(self.boxes)
