"""Batches of images that come one by one: those of one bucket share a batch, and the results keep their order."""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import numpy as np

from jaxdet.data.buckets import Bucket
from jaxdet.io.progress import waiting
from jaxdet.load import LoadedDetector
from jaxdet.types import ImageDetections

MAX_WAITING = 4  # batches of images that wait for others of their bucket
Key = TypeVar("Key")


@dataclasses.dataclass
class _Waiting(Generic[Key]):
    """An image whose result is not returned yet."""

    key: Key
    image: np.ndarray
    bucket: Bucket
    detections: ImageDetections | None = None


def detect_in_order(
    detector: LoadedDetector, images: Iterable[tuple[Key, np.ndarray]], threshold: float | None
) -> Iterator[tuple[Key, np.ndarray, ImageDetections]]:
    """Yield (key, image, its detections) for images (key, u8[H,W,3] RGB), in their order.

    Images of one bucket share a batch of detector.batch_size. Where an image would wait for more than MAX_WAITING
    batches of others, its batch is run as it is.
    """
    if detector.batch_size == 1:
        for key, image in images:
            with waiting("detecting"):  # the first image of each size compiles
                detections = detector(image, threshold)
            yield key, image, detections
        return
    queue: deque[_Waiting[Key]] = deque()

    def results() -> Iterator[tuple[Key, np.ndarray, ImageDetections]]:
        """Take the images from the front of the queue whose detections are there."""
        while queue and queue[0].detections is not None:
            done = queue.popleft()
            assert done.detections is not None
            yield done.key, done.image, done.detections

    def run(bucket: Bucket) -> None:
        batch = [entry for entry in queue if entry.bucket == bucket and entry.detections is None]
        with waiting("detecting"):
            batch_detections = detector([entry.image for entry in batch], threshold)
        for entry, detections in zip(batch, batch_detections, strict=True):
            entry.detections = detections

    for key, image in images:
        bucket = detector.bucket_of(image)
        queue.append(_Waiting(key, image, bucket))
        if sum(entry.bucket == bucket and entry.detections is None for entry in queue) == detector.batch_size:
            run(bucket)
        if queue[0].detections is None and len(queue) == MAX_WAITING * detector.batch_size:
            run(queue[0].bucket)
        yield from results()
    while queue:
        run(queue[0].bucket)
        yield from results()
