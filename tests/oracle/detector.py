"""The training loss of one image and its gradient, by py-faster-rcnn's recipe (approximate joint training)."""

import numpy as np

from tests.oracle import roi, rpn
from tests.oracle.losses import cross_entropy, smooth_l1
from tests.oracle.net import Net

MEAN_BGR = (102.9801, 115.9465, 122.7717)


class Image:
    """One image (RGB) in the oracle; it trains on every anchor and RoI unless `keep` selects some."""

    def __init__(self, params, image, gt_boxes, gt_labels, *, scales, **proposal_options):
        size = image.shape[:2]
        gt_boxes = np.asarray(gt_boxes, np.float64).reshape(-1, 4)
        self.net = Net(params)
        self.features = self.net.features(image[..., ::-1] - np.array(MEAN_BGR))
        self.logits, self.deltas = self.net.rpn(self.features)
        anchors = rpn.anchors_of(*self.features.shape[:2], scales)
        self.anchor_label, self.anchor_deltas = rpn.anchor_targets(anchors, size, gt_boxes)
        proposals = rpn.proposals(self.logits, self.deltas, anchors, size, **proposal_options)
        self.rois, self.roi_label, self.roi_deltas = roi.roi_targets(proposals, gt_boxes, gt_labels)

    def keep(self, anchors, rois):
        """Train only on these anchors and RoIs (indices)."""
        self.anchor_label[~np.isin(np.arange(len(self.anchor_label)), anchors)] = -1
        self.rois, self.roi_label, self.roi_deltas = self.rois[rois], self.roi_label[rois], self.roi_deltas[rois]

    def losses_and_gradients(self):
        """Return the four losses by name, and the gradient of their sum with respect to every parameter."""
        losses = {}
        sampled, positive = np.flatnonzero(self.anchor_label >= 0), np.flatnonzero(self.anchor_label == 1)
        d_logits, d_deltas = np.zeros_like(self.logits), np.zeros_like(self.deltas)
        losses["objectness_loss"], d_logits[sampled] = cross_entropy(self.logits[sampled], self.anchor_label[sampled])
        losses["rpn_box_loss"], d_deltas[positive] = smooth_l1(
            self.deltas[positive], self.anchor_deltas[positive], sigma=3, normaliser=len(sampled)
        )
        d_features = self.net.rpn_backward(d_logits, d_deltas)

        pooled, place = roi.roi_max_pool(self.features, self.rois)
        logits, deltas = self.net.head(pooled)
        own = np.flatnonzero(self.roi_label), self.roi_label[self.roi_label > 0]  # (RoI, its class)
        d_deltas = np.zeros_like(deltas)
        losses["class_loss"], d_logits = cross_entropy(logits, self.roi_label)
        losses["box_loss"], d_deltas[own] = smooth_l1(
            deltas[own], self.roi_deltas[own[0]], sigma=1, normaliser=len(self.rois)
        )
        d_pooled = self.net.head_backward(d_logits, d_deltas).reshape(pooled.shape)
        self.net.features_backward(d_features + roi.roi_max_pool_backward(self.features.shape, place, d_pooled))
        return losses, self.net.gradients
