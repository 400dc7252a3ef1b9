"""Reading a prepared split: random access to records in original pixels."""

import hashlib
import json

import cv2
import numpy as np
import tensorflow_datasets as tfds

from jaxdet.checks import InputError, nearest
from jaxdet.data.voc_features import continuous_boxes
from jaxdet.types import Record


class Dataset:
    """One split of a prepared data set; image i has the same place in `names`, `image_sizes` and the records.

    Attributes:
        class_names: tuple of K names without background; label k is class_names[k - 1].
        names: list of N image names, in the order of the records.
        image_sizes: i32[N,2] original (height, width).
        object_counts: i32[N] objects that are not difficult.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str):
        index = builder.info.metadata[split]
        self.class_names = tuple(builder.info.features["objects"]["label"].names)
        self.names = list(index["names"])
        self.image_sizes = np.array(index["image_sizes"], np.int32).reshape(-1, 2)
        self.object_counts = np.array(index["object_counts"], np.int32)
        self._source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Record:
        """Record i with its image decoded to RGB; all objects, the difficult ones flagged."""
        return self._record(i, decode=True)

    def annotations(self, i: int) -> Record:
        """Record i with an empty image u8[0,0,3]: nothing is decoded."""
        return self._record(i, decode=False)

    @property
    def fingerprint(self) -> str:
        """A key that changes with the names, order, sizes or object counts of the images."""
        index = self.names, self.image_sizes.tolist(), self.object_counts.tolist()
        return hashlib.sha256(json.dumps(index).encode()).hexdigest()[:16]

    def _record(self, i: int, *, decode: bool) -> Record:
        example = self._source[i]
        image = _decode(example["image"]) if decode else np.zeros((0, 0, 3), np.uint8)
        objects = example["objects"]
        height, width = self.image_sizes[i].tolist()
        return Record(
            name=self.names[i],
            image=image,
            boxes=continuous_boxes(np.reshape(objects["bbox"], (-1, 4)), height, width),
            labels=np.array(objects["label"], np.int32) + np.int32(1),
            difficult=np.array(objects["is_difficult"], bool),
        )


def open_split(builder: tfds.core.DatasetBuilder, split: str) -> Dataset:
    """Opens one split of what prepare_devkit or prepare_shapes returned.

    Raises:
        InputError: there is no such split.
    """
    if split not in builder.info.splits:
        raise InputError(f"split {split!r} is not in {builder.data_dir}; {nearest(split, builder.info.splits)}")
    return Dataset(builder, split)


def _decode(encoded: bytes) -> np.ndarray:
    # Orientation was settled at preparation: what is stored is what the boxes refer to.
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
