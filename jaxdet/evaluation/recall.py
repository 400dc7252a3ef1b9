"""Recall of proposals: the share of objects that a detector on these proposals could find at all."""

from collections.abc import Iterable, Sequence

import numpy as np

from jaxdet.ops.boxes_np import box_iou
from jaxdet.types import Annotation, ProposalTable

IOU_THRESHOLDS = (0.5, 0.7)


def proposal_recall(
    proposals: Sequence[np.ndarray] | ProposalTable, annotations: Iterable[Annotation]
) -> dict[str, float]:
    """Compute the share of objects with a proposal of IoU >= 0.5 and 0.7, of any class (Hosang et al. 2016, section 4).

    Args:
      proposals: f32[n,4] per image.
      annotations: one per image, in the same order and pixels.

    Returns:
      "recall_0.5" and "recall_0.7", over the objects that are not difficult (NaN where there are none), and
      "mean_proposals", the number of proposals per image.

    Raises:
      ValueError: the two differ in length.
    """
    best, counts = [], []
    per_image = (proposals[i] for i in range(len(proposals)))
    for boxes, annotation in zip(per_image, annotations, strict=True):
        iou = box_iou(boxes[:, None], annotation.boxes[~annotation.difficult][None])  # [n,G]
        best.append(iou.max(axis=0, initial=0))
        counts.append(len(boxes))
    covered = np.concatenate([*best, []])
    recall = {f"recall_{t:g}": float((covered >= t).mean()) if covered.size else float("nan") for t in IOU_THRESHOLDS}
    return recall | {"mean_proposals": float(np.mean(counts)) if counts else float("nan")}
