"""Faster R-CNN, VGG16, VOC2012 trainval -> VOC2007 test: an article's recipe for TorchVision, best mAP 63.69 there.

It differs from py-faster-rcnn's (faster_voc.py) in RoIAlign, the paper's weight of the box loss, no dropout, nothing
frozen, one image per step, one rate for weights and biases, and a cosine schedule. Where the article says nothing,
torchvision's own values are used: deltas clipped at log(1000/16), smooth L1 with beta 1/9, boxes of any size proposed,
detections of one class suppressed above IoU 0.5.

Where the article can be read in several ways, or is not followed: anchors across the border are ignored, as its text
says; TorchVision's own code trains on them. Its lambda of 10 weighs the sum over the positive anchors divided by all
locations, as in the paper; divided by the 256 sampled anchors it would weigh ten times as much. Objects marked
difficult are not trained on here, there they are. Detections with a side under 0.01 pixels are not removed here.

The article counts about 15,000 to 17,000 images per epoch; VOC2012's detection trainval has 11,540. Its 40 epochs of
15,000 steps are unchanged here: 600,000 steps, 52 epochs of these images
(images with nothing but difficult objects are left out; they were not counted). No score of this config has been
measured yet.

    python train.py --config=configs/faster_voc12_article.py
"""

import math

from ml_collections import ConfigDict

from configs import faster_voc


def get_config() -> ConfigDict:
    config = faster_voc.get_config()
    config.name = "faster_voc12_article"
    config.seed = 0
    config.splits = ConfigDict({"train": "2012/trainval", "validation": "", "test": "2007/test"})

    config.training.pretrained = "torchvision"
    config.net.dropout = 0.0

    config.anchors.convention = "torchvision"
    config.rpn.train_proposals = ConfigDict({"pre_nms_top_n": 6000, "post_nms_top_n": 2000, "nms_iou": 0.7})
    config.rpn.min_size = 1e-3
    config.rpn.box_weight = 10.0
    config.rpn.box_normaliser = "locations"
    config.rpn.max_log_scale = math.log(1000 / 16)
    config.head.sigma = 3.0
    config.head.roi_pooling = "align"
    config.head.max_log_scale = math.log(1000 / 16)
    config.head.detections.nms_iou = 0.5

    config.optim.schedule = "cosine"
    config.optim.final_learning_rate = 1e-5
    config.optim.boundaries = ()
    config.optim.bias_learning_rate_factor = 1.0

    config.training.frozen = ()
    config.training.steps = 600_000
    config.training.batch_size = 1
    config.training.accumulate = 1
    config.evaluation.batch_size = 1
    return config
