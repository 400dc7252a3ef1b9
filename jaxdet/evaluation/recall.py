"""Recall of proposals: how many objects a detector that relies on them could find at all."""

from collections.abc import Iterable, Sequence

import numpy as np

from jaxdet.ops.boxes_np import box_iou
from jaxdet.types import Annotation


def proposal_recall(
    proposals: Sequence[np.ndarray], annotations: Iterable[Annotation], *, ious: Sequence[float] = (0.5, 0.7)
) -> dict[str, float]:
    """The share of objects with a proposal of IoU >= t for each t, of any class (Hosang et al. 2016, section 4).

    Args:
        proposals: f32[n,4] of each image, such as a ProposalTable.
        annotations: the record of each image, in the same order and pixels; images are not looked at.

    Returns:
        "recall_<t>" for each t, over the objects that are not difficult (NaN where there are none), and
        "mean_proposals", proposals an image.

    Raises ValueError where the two differ in length.
    """
    best, counts = [], []
    for boxes, record in zip(proposals, annotations, strict=True):
        overlap = box_iou(boxes[:, None], record.boxes[~record.difficult][None])  # [n,G]
        best.append(overlap.max(axis=0, initial=0))
        counts.append(len(boxes))
    covered = np.concatenate([*best, []])
    recall = {f"recall_{t:g}": float((covered >= t).mean()) if covered.size else float("nan") for t in ious}
    return recall | {"mean_proposals": float(np.mean(counts)) if counts else float("nan")}
