"""The sections `net`, `anchors`, `rpn` and `head` of the experiment config; see fields.py."""

from dataclasses import dataclass
from typing import Annotated

from jaxdet.config.limits import Count, Fraction, Most, Positive


@dataclass(frozen=True, kw_only=True)
class SharedNet:
    """Fields of every net."""

    backbone: Annotated[str, "'vgg16', 'zf', 'alexnet' or 'vgg_m' (VGG_CNN_M_1024); with a feature pyramid 'resnet50'"]
    width: Annotated[float, "multiplies every channel count of the backbone; 1.0 is the paper's"]
    head_features: Annotated[Positive, "units of fc6 and fc7; 'vgg_m' has a quarter in fc7"]
    preprocessing: Annotated[
        str, "'caffe', 'caffe_rgb_mean', 'keras' or 'torchvision'; empty: what the initial weights expect"
    ]
    compute_dtype: Annotated[str, "dtype of activations: 'float32' or 'bfloat16'"]


@dataclass(frozen=True, kw_only=True)
class PyramidNet(SharedNet):
    """nets.fpn_net.fpn_net."""


@dataclass(frozen=True, kw_only=True)
class Net(SharedNet):
    """nets.region_net.region_net, for R-CNN nets.crop_net.crop_net."""

    dropout: Annotated[float, 0.0, Most(1.0, allowed=False), "dropout rate of fc6 and fc7"]
    dropout_scaling: Annotated[
        str, "'train' or 'test': when dropout scales (Caffe's ZF-Net: test); empty: what the initial weights expect"
    ]
    init: Annotated[str, "initialisation without weights: 'he_normal' or 'looks_linear'"]
    pool_rounding: Annotated[str, "'ceil' as Caffe or 'floor' as PyTorch; empty: what the initial weights expect"]


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """ops.anchors.base_anchors (Faster R-CNN, 3.1.1)."""

    scales: Annotated[tuple[float, ...], "sides of the anchors in units of the stride of 16 pixels"]
    ratios: Annotated[tuple[float, ...], "height over width"]
    convention: Annotated[str, "'caffe', 'simple_faster_rcnn' or 'torchvision': how corners are rounded"]


@dataclass(frozen=True, kw_only=True)
class PyramidAnchors:
    """systems.pyramid_anchors (Feature Pyramid Networks, 4.1)."""

    sizes: Annotated[tuple[float, ...], "sides of the anchors of the five levels in pixels, finest level first"]
    ratios: Annotated[tuple[float, ...], "height over width"]


@dataclass(frozen=True, kw_only=True)
class RpnSampling:
    """ops.targets.rpn_targets (Faster R-CNN, 3.1.2)."""

    positive_iou: Annotated[Fraction, "anchors of at least this IoU are positive"]
    negative_iou: Annotated[Fraction, "anchors below this IoU are negative"]
    batch_size: Annotated[Positive, "anchors sampled per image"]
    positive_fraction: Annotated[Fraction, "at most this share of them positive"]


@dataclass(frozen=True, kw_only=True)
class ProposalLimits:
    """ops.propose.propose."""

    pre_nms_top_n: Annotated[Positive, "best boxes that enter NMS"]
    post_nms_top_n: Annotated[Positive, "best boxes that leave NMS"]
    nms_iou: Annotated[Fraction, "NMS suppresses above this IoU"]


@dataclass(frozen=True, kw_only=True)
class Rpn:
    """models.rpn.region_proposal_network (Faster R-CNN, 3.1)."""

    targets: RpnSampling
    train_proposals: ProposalLimits
    test_proposals: ProposalLimits
    min_size: Annotated[float, 0.0, "proposals with a shorter side are dropped, in pixels of the original image"]
    sigma: Annotated[float, 0.0, "smooth L1 turns linear at 1 / sigma^2"]
    box_weight: Annotated[float, 0.0, "weight of the box loss"]
    box_normaliser: Annotated[str, "the box loss is divided by the 'sampled' anchors or by all 'locations'"]
    cross_boundary_anchors: Annotated[bool, "train on anchors that cross the image's border"]
    max_log_scale: Annotated[float | None, "upper limit of dw and dh when proposals are decoded; empty: none"]


@dataclass(frozen=True, kw_only=True)
class RoiSampling:
    """ops.targets.roi_targets (Fast R-CNN, 2.3)."""

    positive_iou: Annotated[Fraction, "proposals of at least this IoU are positive"]
    negative_iou: Annotated[tuple[float, float], 0.0, Most(1.0), "proposals with an IoU in [low, high) are background"]
    batch_size: Annotated[Positive, "RoIs sampled per image"]
    positive_fraction: Annotated[Fraction, "at most this share of them positive"]


@dataclass(frozen=True, kw_only=True)
class DetectionLimits:
    """ops.detect.detect."""

    score_threshold: Annotated[float, Most(1.0), "detections of a lower score are dropped"]
    pre_nms_per_class: Annotated[Count, "best boxes of each class that enter NMS; 0: all"]
    nms_iou: Annotated[Fraction, "NMS per class suppresses above this IoU"]
    max_detections: Annotated[Positive, "best detections per image"]
    min_size: Annotated[float, 0.0, "detections with a shorter side are dropped, in pixels of the resized image"] = 0.0


@dataclass(frozen=True, kw_only=True)
class MarginLimits(DetectionLimits):
    score_threshold: Annotated[float, "detections of a lower score, for SVMs their margin, are dropped"]


@dataclass(frozen=True, kw_only=True)
class FastHead:
    """What the heads of Fast and Faster R-CNN share."""

    roi_targets: RoiSampling
    detections: DetectionLimits
    sigma: Annotated[float, 0.0, "smooth L1 turns linear at 1 / sigma^2"]
    box_weight: Annotated[float, 0.0, "weight of the box loss"]
    roi_pooling: Annotated[str, "'max_pool' (Fast R-CNN, 2.1) or 'align' (RoIAlign)"]
    max_log_scale: Annotated[float | None, "upper limit of dw and dh when detections are decoded; empty: none"]


@dataclass(frozen=True, kw_only=True)
class FastRcnnHead(FastHead):
    """models.fast_rcnn.fast_rcnn."""

    detections: MarginLimits
    scoring: Annotated[str, "'softmax', or 'svm': margins of SVMs fitted after training"] = "softmax"


@dataclass(frozen=True, kw_only=True)
class FasterHead(FastHead):
    """models.faster_rcnn.faster_rcnn."""

    delta_std: Annotated[tuple[float, float, float, float], "box targets (dx, dy, dw, dh) are divided by this"]
    inclusive_boxes: Annotated[bool, "boxes end at the corner of their last pixel; not for 4-step training"] = False


@dataclass(frozen=True, kw_only=True)
class RcnnHead:
    """models.rcnn.rcnn."""

    roi_targets: RoiSampling
    detections: MarginLimits
    context: Annotated[Count, "pixels of context around a warped window"]
    chunk: Annotated[Positive, "windows per image that pass the net at a time"]
    scoring: Annotated[str, "'svm', or 'softmax' of the fine-tuned net"]
    sampling: Annotated[
        str, "windows to train on: 'per_image', or 'data_set': as many per step, with replacement, of any images"
    ] = "per_image"
