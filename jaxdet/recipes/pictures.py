"""Pictures of what a training sees: its first batches, and some images of each validation."""

import contextlib
import dataclasses
import logging
from collections.abc import Generator
from pathlib import Path

import jax
import numpy as np

from jaxdet import visualize
from jaxdet.config.schema import OneStage
from jaxdet.evaluation.tables import DetectionTable
from jaxdet.io.atomic import atomic_write
from jaxdet.ops.boxes_np import box_iou
from jaxdet.systems import SYSTEMS, anchors_of
from jaxdet.training.drawing import optional_drawing
from jaxdet.training.loop import Batches
from jaxdet.types import Batch, Dataset

log = logging.getLogger(__name__)

BATCHES = 2  # that are drawn
ROWS = 8  # images of a batch that are drawn, at most
VALIDATION_IMAGES = 4

# Image, boxes, scores (None: none), labels, and the boxes that are dashed.
DrawArguments = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Draws into WORKDIR/pictures; process 0 only."""

    experiment: OneStage
    class_names: tuple[str, ...]
    folder: Path

    def of_first_batches(self, batches: Batches) -> Batches:
        """Return the same batches, of which the first of a training are drawn before they are used."""

        def stream(start: int) -> Generator[Batch, None, None]:
            with contextlib.closing(batches(start)) as inner:
                for step, batch in enumerate(inner, start=start + 1):
                    if step <= BATCHES and jax.process_index() == 0:
                        self._draw_batch(step, batch)
                    yield batch

        return stream

    def of_validation(self, step: int, detections: DetectionTable, dataset: Dataset) -> None:
        """Draw the first images of the split with their detections; their ground truth is dashed."""
        if jax.process_index() > 0:
            return
        rows: list[DrawArguments] = []
        threshold = SYSTEMS[self.experiment.system].default_threshold(self.experiment)
        for i in range(min(VALIDATION_IMAGES, len(dataset))):
            record = dataset[i]
            shown = (detections.image == i) & (detections.scores >= threshold)
            boxes, scores, labels = detections.boxes[shown], detections.scores[shown], detections.labels[shown]
            rows.append((record.image, boxes, scores, labels, record.boxes))
        self._draw(f"validation_{step}.jpg", rows)

    def _draw_batch(self, step: int, batch: Batch) -> None:
        """Draw the images of a batch as the net sees them, with their objects; matched anchors are dashed."""
        anchors = anchors_of(self.experiment, *batch.image.shape[1:3])
        rows: list[DrawArguments] = []
        for row in range(min(ROWS, len(batch.image))):
            height, width = np.asarray(batch.image_size[row]).astype(int)
            valid = np.asarray(batch.gt_valid[row])
            boxes, labels = np.asarray(batch.gt_boxes[row])[valid], np.asarray(batch.gt_labels[row])[valid]
            matched = np.zeros((0, 4), np.float32)
            if anchors is not None:
                rpn = self.experiment.rpn  # type: ignore[attr-defined]  # a system with anchors has one
                inside = anchors if rpn.cross_boundary_anchors else anchors[_is_inside(anchors, height, width)]
                matched = matched_anchors(inside, boxes, positive_iou=rpn.targets.positive_iou)
            image = np.asarray(batch.image[row, :height, :width])
            rows.append((image, boxes, None, labels, matched))
        self._draw(f"batch_{step}.jpg", rows)
        if step == BATCHES:
            dashed = "" if anchors is None else "; dashed: the anchors that match an object"
            log.info("pictures of the first %d batches: %s%s", BATCHES, self.folder / "batch_*.jpg", dashed)

    def _draw(self, name: str, rows: list[DrawArguments]) -> None:
        """Draw images on one sheet; where that fails, training continues without it."""
        with optional_drawing(self.folder):
            drawn = [visualize.draw(*row[:4], self.class_names, gt_boxes=row[4]) for row in rows]
            sheet = visualize.encode_jpeg(visualize.grid(drawn, min(4, len(drawn))))
            with atomic_write(self.folder / name) as file:
                file.write(sheet)


def matched_anchors(anchors: np.ndarray, boxes: np.ndarray, *, positive_iou: float) -> np.ndarray:
    """Return the positive anchors (Faster R-CNN, 3.1.2): of this IoU with a box, or the best of one.

    Args:
      anchors: f32[N,4].
      boxes: f32[G,4].
    """
    matched = np.zeros(len(anchors), bool)
    for box in boxes:  # one by one: all pairs of a pyramid's anchors and a crowded image's objects take gigabytes
        iou = box_iou(anchors, box)
        matched |= (iou >= positive_iou) | ((iou == iou.max(initial=0)) & (iou > 0))
    return anchors[matched]


def _is_inside(anchors: np.ndarray, height: int, width: int) -> np.ndarray:
    return (anchors[:, :2] >= 0).all(axis=1) & (anchors[:, 2] <= width) & (anchors[:, 3] <= height)
