"""CPU time per photo of a run's detector and of its .stablehlo file, in turn on the same photos.

    python -m benchmarks.exports RUN PHOTOS [--count=40]

The photos are decoded before; resizing is part of the time. Both sides are warm: their programs are compiled.
"""

import argparse
import json
import tempfile
from pathlib import Path

import jax
import numpy as np
from jax import export as jax_export

from benchmarks.timing import cpu_seconds, medians_in_turn
from jaxdet.data.image_file import decode
from jaxdet.data.transforms import resize
from jaxdet.export import export
from jaxdet.load import load_detector
from jaxdet.ops.boxes_np import box_clip
from jaxdet.predict import find_images

ROUNDS = 9


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("photos")
    parser.add_argument("--count", type=int, default=40)
    flags = parser.parse_args()
    images = [decode(path, name=str(path)) for path in find_images([flags.photos])[: flags.count]]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "detector.stablehlo"
        export(flags.run, str(file))
        print(f"{file.suffix}: {file.stat().st_size / 1e6:.1f} MB")
        theirs = load(file)
    ours = load_detector(flags.run)

    def detect_by_run():
        return [ours(image, threshold=0.0) for image in images]

    def detect_by_file():
        return [theirs(image) for image in images]

    print(f"first pass: {cpu_seconds(detect_by_run):.1f} s by the run, {cpu_seconds(detect_by_file):.1f} s by the file")
    for image, detections, (boxes, scores, labels) in zip(images, detect_by_run(), detect_by_file(), strict=True):
        np.testing.assert_allclose(box_clip(boxes, np.array(image.shape[:2])), detections.boxes, atol=1e-2)
        np.testing.assert_allclose(scores, detections.scores, atol=1e-4)
        np.testing.assert_array_equal(labels, detections.labels)
    run, program = medians_in_turn(
        lambda: cpu_seconds(detect_by_run), lambda: cpu_seconds(detect_by_file), rounds=ROUNDS
    )
    by_run, by_file = 1e3 * run / len(images), 1e3 * program / len(images)
    print(f"{by_run:.1f} ms per photo by the run, {by_file:.1f} ms by the file; ratio {by_file / by_run:.2f}")


def load(file):
    """Return a function from an image to its (boxes, scores, labels), as docs/weights.md runs a .stablehlo file."""
    with np.load(file) as archive:
        entries = dict(archive)
    header = json.loads(str(entries["header"]))
    sides = {name: header[name] for name in ("short_side", "long_side")}
    params = {
        name.removeprefix("params/"): jax.device_put(entries[name]) for name in entries if name.startswith("params/")
    }
    names = [f"{height}x{width}" for height, width in header["buckets"]]
    platform = jax.default_backend().replace("gpu", "cuda")
    programs = {name: jax.jit(jax_export.deserialize(bytearray(entries[f"{name}/{platform}"])).call) for name in names}

    def detect(image):
        resized, scale = resize(image, **sides)
        height, width = next(b for b in header["buckets"] if b[0] >= resized.shape[0] and b[1] >= resized.shape[1])
        pixels = np.zeros((1, height, width, 3), np.uint8)
        pixels[0, : resized.shape[0], : resized.shape[1]] = resized
        size = np.float32([resized.shape[:2]])
        outputs = jax.device_get(programs[f"{height}x{width}"](params, pixels, size, np.float32([scale])))
        boxes, scores, labels, valid = (output[0] for output in outputs)
        return boxes[valid], scores[valid], labels[valid]

    return detect


if __name__ == "__main__":
    main()
