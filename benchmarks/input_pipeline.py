"""Images per second and core of the input pipeline: record, JPEG decoding, flip, resizing to 600/1000, batch.

    python -m benchmarks.input_pipeline [--devkit=VOCdevkit/VOC2012 --split=train]

Without a devkit it draws images of VOC's usual 500 x 375. The limit is OpenCV alone, decoding and resizing them.
Seconds are CPU seconds of the process, so that other programs on the machine count little.
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from jaxdet.data.dataset import open_split
from jaxdet.data.datasets.devkit import prepare_devkit
from jaxdet.data.datasets.shapes import draw_scene
from jaxdet.data.pipeline import InputOptions, train_batches
from jaxdet.data.transforms import resize
from tests.devkit import Devkit

IMAGES, ROUNDS, SIDES = 200, 3, {"short_side": 600, "long_side": 1000}


def draw_devkit(folder: Path) -> None:
    devkit, names = Devkit(folder), [f"{i:03d}" for i in range(IMAGES)]
    devkit.split("train", *names)
    for i, name in enumerate(names):
        scene = draw_scene(np.random.default_rng(i), 500)
        devkit.image(name, Image.fromarray(scene.image[:375]), quality=92)
        devkit.annotation(name, ("shape", 1, 1, 99, 99), size=(375, 500))


def pipeline_rate(dataset, workers: int) -> tuple[float, float]:
    """Return images per CPU second and per second of wall time."""
    options = InputOptions(flip=True, max_gt=64, workers=workers, **SIDES)
    batches = train_batches(dataset, options, batch_size=4, seed=0, start_step=0)
    next(batches)
    cpu_start, wall_start = time.process_time(), time.perf_counter()
    images = sum(len(batch.image_id) for batch in itertools.islice(batches, IMAGES // 4))
    cpu, wall = time.process_time() - cpu_start, time.perf_counter() - wall_start
    batches.close()
    return images / cpu, images / wall


def opencv_rate(encoded: list[bytes]) -> float:
    """Return images per CPU second of decoding and resizing alone."""
    start = time.process_time()
    for data in encoded:
        resize(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), **SIDES)
    return len(encoded) / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devkit", help="a folder in VOC layout; images are drawn without it")
    parser.add_argument("--split", default="train")
    flags = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        devkit = flags.devkit
        if devkit is None:
            devkit = f"{scratch}/drawn"
            draw_devkit(Path(devkit))
        builder = prepare_devkit(devkit=devkit, splits=(flags.split,), data_dir=f"{scratch}/data")
        dataset = open_split(builder, flags.split)
        source = builder.as_data_source(flags.split, decoders={"image": tfds.decode.SkipDecoding()})
        encoded = [source[i]["image"] for i in range(min(IMAGES, len(source)))]
        for _ in range(ROUNDS):
            limit = opencv_rate(encoded)
            for workers in (1, 2):
                cpu, wall = pipeline_rate(dataset, workers)
                print(
                    f"{workers} threads: {cpu:.0f} images/s per core ({cpu / limit:.2f} of OpenCV's {limit:.0f}), "
                    f"{wall:.0f} images/s of wall time"
                )


if __name__ == "__main__":
    main()
