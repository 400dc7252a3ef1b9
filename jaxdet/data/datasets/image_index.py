"""What is known of a prepared split without decoding: names, sizes, object counts, in the order of the records."""

import hashlib
import io
import json
import logging
import os
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

logger = logging.getLogger(__name__)


def read_index(builder: tfds.core.DatasetBuilder, split: str) -> dict:
    """The index {"names", "image_sizes", "object_counts"} of a prepared split.

    A copy that TFDS's own `voc` prepared has none: its records are read once, and the index is kept in
    DATA_DIR/image_index under a key of the copy's files.
    """
    if builder.info.metadata:
        return builder.info.metadata[split]
    kept = Path(builder.data_path.parents[2]) / "image_index" / f"{builder.name}-{_key(builder)}-{split}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    index = _from_records(builder, split)
    try:
        kept.parent.mkdir(exist_ok=True)
        partial = kept.with_name(f".{kept.name}.{os.getpid()}")
        partial.write_text(json.dumps(index))
        partial.replace(kept)
    except OSError as error:
        logger.warning("the image index of %s is made anew each time: %s", builder.data_path, error)
    return index


def _from_records(builder: tfds.core.DatasetBuilder, split: str) -> dict:
    logger.info("reading the image sizes of %s, %s", builder.data_path, split)
    index = {"names": [], "image_sizes": [], "object_counts": []}
    for example in builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()}):
        with Image.open(io.BytesIO(example["image"])) as image:  # reads the header only
            index["image_sizes"].append([image.height, image.width])
        index["names"].append(Path(example["image/filename"].decode()).stem)
        index["object_counts"].append(int(np.logical_not(example["objects"]["is_difficult"]).sum()))
    return index


def _key(builder: tfds.core.DatasetBuilder) -> str:
    files = sorted(Path(builder.data_path).iterdir())
    listed = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(listed).encode()).hexdigest()[:16]
