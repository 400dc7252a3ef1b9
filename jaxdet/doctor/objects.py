"""Findings about annotated objects: sizes after resizing, anchors that fit none, lost and overlapping objects."""

import dataclasses

import numpy as np

from jaxdet.config.fields import keywords
from jaxdet.config.schema import Experiment, FasterRcnn, FasterRcnnAlternating, FasterRcnnFpn, Rcnn
from jaxdet.data.transforms import resize_scale
from jaxdet.doctor.anchor_fit import best_anchor_iou, grid_levels
from jaxdet.doctor.finding import Finding
from jaxdet.evaluation.tables import GroundTruthTable
from jaxdet.nets.fpn_net import STRIDES
from jaxdet.nets.region_net import STRIDE
from jaxdet.ops.boxes_np import box_iou

TOPIC = "objects"
WithAnchors = FasterRcnn | FasterRcnnAlternating | FasterRcnnFpn
# IoU with an anchor from which a box can be learned: the result in docs/own-data.md has 93% of the objects above it,
# but only 15% above the RPN's positive IoU of 0.7.
IN_RANGE = 0.5
MANY = 0.1  # share of the objects that is worth a warning
QUANTILES = (0.05, 0.5, 0.95)


@dataclasses.dataclass(frozen=True)
class ResizedObjects:
    """The objects of a split that are trained on, as the detector sees them."""

    image: np.ndarray  # i[O] index of the image in its split
    boxes: np.ndarray  # f64[O,4] resized pixels
    labels: np.ndarray  # i[O] 1..K
    image_sizes: np.ndarray  # f64[O,2] (height, width) of the object's resized image

    @property
    def sides(self) -> np.ndarray:
        """Widths and heights, f64[O,2]."""
        sides: np.ndarray = self.boxes[:, 2:] - self.boxes[:, :2]
        return sides

    @property
    def sizes(self) -> np.ndarray:
        """Square roots of the areas, f64[O]."""
        return np.sqrt(self.sides.prod(1))

    @property
    def ratios(self) -> np.ndarray:
        """Height over width, f64[O]."""
        return self.sides[:, 1] / self.sides[:, 0]


def resized_objects(
    truth: GroundTruthTable, image_sizes: np.ndarray, *, short_side: int, long_side: int, use_difficult: bool
) -> ResizedObjects:
    """Return the objects at the size that the input section gives them; image_sizes is i[N,2] of all images."""
    used = ~truth.difficult | use_difficult
    sides = {"short_side": short_side, "long_side": long_side}
    scales = np.array([resize_scale(height, width, **sides) for height, width in image_sizes.tolist()])
    image = truth.image[used]
    scale = scales[image] if len(scales) else np.zeros(0)
    sizes = image_sizes[image] if len(image_sizes) else np.zeros((0, 2))
    boxes = np.asarray(truth.boxes[used], np.float64) * scale[:, None]
    return ResizedObjects(image, boxes, truth.labels[used], sizes * scale[:, None])


def size_rows(objects: ResizedObjects, class_names: tuple[str, ...]) -> list[dict[str, object]]:
    """Return a row for each class that has objects: count, 5th, 50th and 95th percentile of sizes and ratios."""
    rows: list[dict[str, object]] = []
    for label, name in enumerate(class_names, 1):
        of_class = objects.labels == label
        if of_class.any():
            sizes, ratios = (
                np.quantile(each[of_class], QUANTILES).tolist() for each in (objects.sizes, objects.ratios)
            )
            rows.append({"class": name, "objects": int(of_class.sum()), "size": sizes, "height / width": ratios})
    return rows


def object_findings(objects: ResizedObjects, experiment: Experiment) -> list[Finding]:
    """Return the findings about the objects of the training split under a config."""
    if not len(objects.boxes):
        return []
    listed = [_lost(objects, experiment.input.max_gt), _tiny(objects, cell_side(experiment))]
    if isinstance(experiment, WithAnchors):
        listed.append(_out_of_reach(objects, experiment))
    return [finding for finding in listed if finding]


def cell_side(experiment: Experiment) -> int:
    """Return the pixels of the resized image that a cell of the finest feature map spans; 0 for R-CNN, which crops."""
    if isinstance(experiment, Rcnn):
        return 0
    return STRIDES[0] if isinstance(experiment, FasterRcnnFpn) else STRIDE


def anchor_ious(objects: ResizedObjects, experiment: WithAnchors) -> np.ndarray:
    """Return the best IoU of each object with the config's anchors, f64[O]."""
    levels = grid_levels(experiment.anchors, objects.image_sizes)
    cross_boundary = experiment.rpn.cross_boundary_anchors
    return best_anchor_iou(objects.boxes, objects.image_sizes, levels, cross_boundary=cross_boundary)


def neighbour_ious(objects: ResizedObjects) -> np.ndarray:
    """Return the IoU of each object with the object of its class and image that overlaps it most, f64[O]."""
    best = np.zeros(len(objects.boxes))
    order = np.lexsort((objects.labels, objects.image))
    keys = np.stack([objects.image[order], objects.labels[order]], axis=1)
    starts = np.flatnonzero(np.any(np.diff(keys, axis=0), axis=1)) + 1
    for rows in np.split(order, starts):
        if len(rows) > 1:
            iou = box_iou(objects.boxes[rows, None], objects.boxes[None, rows])
            np.fill_diagonal(iou, 0)
            best[rows] = iou.max(1)
    return best


def _lost(objects: ResizedObjects, max_gt: int) -> Finding | None:
    counts = np.bincount(objects.image)
    lost = int(np.maximum(counts - max_gt, 0).sum())
    if not lost:
        return None
    crowded = int((counts > max_gt).sum())
    most = -(-int(counts.max()) // 8) * 8
    text = (
        f"{lost} of {len(objects.boxes)} objects are lost: the smallest of crowded images ({crowded}), with up to "
        f"{counts.max()} objects, more than input.max_gt = {max_gt}"
    )
    return Finding("error", TOPIC, text, flags=(f"--config.input.max_gt={most}",))


def _tiny(objects: ResizedObjects, cell: int) -> Finding | None:
    tiny = int((objects.sides.min(1) < cell).sum())
    if not tiny:
        return None
    share = tiny / len(objects.boxes)
    text = (
        f"{tiny} of {len(objects.boxes)} objects ({share:.0%}) are narrower or lower than a cell of the feature map "
        f"({cell} pixels) after resizing"
    )
    return Finding("warning" if share >= MANY else "note", TOPIC, text)


def _out_of_reach(objects: ResizedObjects, experiment: WithAnchors) -> Finding | None:
    """Return a finding where objects overlap no anchor enough to count as positive; their best anchor still does."""
    limit = experiment.rpn.targets.positive_iou
    ious = anchor_ious(objects, experiment)
    below, far = int((ious < limit).sum()), int((ious < min(IN_RANGE, limit)).sum())
    if not below:
        return None
    anchor = "anchor" if experiment.rpn.cross_boundary_anchors else "anchor inside its image"
    text = (
        f"{below} of {len(ious)} objects ({below / len(ious):.0%}) overlap no {anchor} by IoU {limit:g} "
        f"(rpn.targets.positive_iou){f', {far} of them none by {IN_RANGE:g}' if far else ''}: the RPN learns each from "
        "its best anchor only"
    )
    return Finding("warning" if far >= MANY * len(ious) else "note", TOPIC, text)


def summary(objects: ResizedObjects, experiment: Experiment, class_names: tuple[str, ...]) -> dict[str, object]:
    """Return the numbers of the report."""
    numbers: dict[str, object] = {"input": keywords(experiment.input), "classes": size_rows(objects, class_names)}
    if isinstance(experiment, WithAnchors) and len(objects.boxes):
        reached = anchor_ious(objects, experiment) >= experiment.rpn.targets.positive_iou
        numbers["objects_with_a_positive_anchor"] = float(reached.mean())
    return numbers
