"""Sections of the experiment config: their fields with type, minimum and meaning.

Most sections are the keyword arguments of the function that their docstring names.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from jaxdet.config.limits import Count, Fraction, Most, Positive

MAY_CHANGE = "(may change on resume)"  # marks a field that cannot change the result; about images their hash decides
PathText = Annotated[str, Path]  # parse replaces ~ by the home folder


@dataclass(frozen=True, kw_only=True)
class Splits:
    train: Annotated[str, "split to train on"]
    validation: Annotated[str, "split to validate on during training; empty: none"]
    test: Annotated[str, "split that evaluate.py scores; empty: none", MAY_CHANGE]


@dataclass(frozen=True, kw_only=True)
class Input:
    """data.pipeline: resizing and batching."""

    short_side: Annotated[Positive, "images are resized to this short side, in pixels"]
    long_side: Annotated[Positive, "... unless the long side would exceed this"]
    flip: Annotated[bool, "mirror each training image with probability 1/2"]
    max_gt: Annotated[Positive, "ground-truth slots per image; the largest objects are used"]
    use_difficult: Annotated[bool, "train on objects marked difficult"]
    drop_empty: Annotated[bool, "leave out training images without objects; False: train on them as background"]
    workers: Annotated[Positive, "threads that decode and resize", MAY_CHANGE]


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


@dataclass(frozen=True, kw_only=True)
class SelectiveSearch:
    """proposals.search.search_split: Selective Search."""

    max_boxes: Annotated[Positive, "best boxes per image"]
    min_side: Annotated[float, 0.0, "narrower boxes are dropped, in pixels of the resized image"]
    width: Annotated[Positive, "images are searched at this width, in pixels"]
    segment_sizes: Annotated[
        tuple[int, ...], 1, "k and least size of each segmentation (R-CNN: 50 and 100); empty: OpenCV's three"
    ] = ()
    workers: Annotated[Positive, "processes", MAY_CHANGE]
    file: Annotated[
        PathText, ".mat file of boxes that replace the search, {split} standing for the split; empty: none"
    ] = ""


@dataclass(frozen=True, kw_only=True)
class Linear:
    bbox_regression: Annotated[bool, "fit R-CNN's box regressors"]


@dataclass(frozen=True, kw_only=True)
class SharedOptim:
    """training.optimizer.make_optimizer, without the boundaries that the stages of 4-step training set."""

    name: Annotated[str, "'sgd' (Caffe's momentum) or 'adamw'"]
    learning_rate: Annotated[float, "base learning rate"]
    schedule: Annotated[str, "'step' or 'cosine'"]
    decay: Annotated[float, 0.0, "'step': factor at each boundary"]
    final_learning_rate: Annotated[float, 0.0, "'cosine': last learning rate"]
    warmup_steps: Annotated[Count, "steps of linear warm-up"]
    momentum: Annotated[float, 0.0, Most(1.0, allowed=False), "SGD's momentum; AdamW's beta1"]
    weight_decay: Annotated[float, 0.0, "weight decay"]
    decay_biases: Annotated[bool, "decay biases too"]
    bias_learning_rate_factor: Annotated[float, 0.0, "learning rate of biases, relative to learning_rate"]
    classifier_learning_rate_factor: Annotated[
        float, "learning rate of cls_score, relative to learning_rate (R-CNN: 10)"
    ] = 1.0
    reference_fan_in: Annotated[
        Count, "a kernel's learning rate is multiplied by sqrt(reference_fan_in / its fan-in); 0: the same for all"
    ] = 0


@dataclass(frozen=True, kw_only=True)
class Optim(SharedOptim):
    """training.optimizer.make_optimizer."""

    boundaries: Annotated[tuple[int, ...], "'step': steps at which the learning rate drops, ascending"]


@dataclass(frozen=True, kw_only=True)
class SharedTraining:
    """Training without the lengths that the stages of 4-step training set."""

    accumulate: Annotated[Positive, "parts of a batch computed one after the other, to save memory"]
    frozen: Annotated[tuple[str, ...], "layers that are not trained, by the start of their names"]
    init_from: Annotated[PathText, "workdir, checkpoint or exported file to start from; empty: none"]
    pretrained: Annotated[
        str, "'caffe', 'torchvision' or 'keras' (ImageNet's VGG16), 'resnet50' (ImageNet's) or 'coco'; empty: none"
    ]
    pretrained_file: Annotated[PathText, "file or address of these weights; empty: the published one"]
    log_every: Annotated[Positive, "steps between reports", MAY_CHANGE]
    eval_every: Annotated[Count, "steps between validations; 0: never", MAY_CHANGE]
    checkpoint_every: Annotated[Positive, "steps between checkpoints", MAY_CHANGE]
    keep: Annotated[Positive, "newest checkpoints to keep, besides the best", MAY_CHANGE]
    profile: Annotated[
        tuple[int, int], 0, "first and last step traced into WORKDIR/profile; (0, 0): none", MAY_CHANGE
    ] = (0, 0)
    reference_batch_size: Annotated[
        Count, "batch size that rates, steps and boundaries are meant for, scaled to batch_size; 0: as they are"
    ] = 0


@dataclass(frozen=True, kw_only=True)
class Training(SharedTraining):
    steps: Annotated[Positive, "optimiser steps"]
    batch_size: Annotated[Positive, "images per step, over all devices and hosts"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    batch_size: Annotated[Positive, "images per batch, over all devices and hosts"]
    pictures: Annotated[Count, "images drawn with their detections", MAY_CHANGE]
    detections_per_class: Annotated[
        Count, "average number of detections kept per class and image over the split; 0: all", MAY_CHANGE
    ]
    svd_ranks: Annotated[
        tuple[int, int], 0, "ranks of the compressed fc6 and fc7; 0 leaves a layer as trained", MAY_CHANGE
    ]
    match_at_threshold: Annotated[
        bool, "VOC metrics of evaluate.py match at IoU >= threshold (MATLAB devkit); False: only above it", MAY_CHANGE
    ] = False


@dataclass(frozen=True, kw_only=True)
class StageLength:
    steps: Annotated[Positive, "optimiser steps of each such stage"]
    batch_size: Annotated[Positive, "images per step"]
    boundaries: Annotated[tuple[int, ...], "steps at which the learning rate drops"]


@dataclass(frozen=True, kw_only=True)
class Stages:
    rpn: StageLength
    fast_rcnn: StageLength
    mirrored_proposals: Annotated[bool, "propose on mirrored images too; False: an image's boxes are mirrored with it"]


def keywords(values: Any, *without: str) -> dict[str, Any]:
    """Return a section as the keyword arguments of its function; nested sections become dicts."""
    return {name: value for name, value in dataclasses.asdict(values).items() if name not in without}
