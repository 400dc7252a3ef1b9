"""The numbers of R-CNN's, Fast R-CNN's and the 4-step training's configs are those of the papers' own code.

What a table leaves out is as in the config that it is compared with, whose numbers another table has.
"""

import pytest

from configs import fast_voc, faster_voc, faster_voc_alternating, rcnn_voc
from tests.test_configs import flat

# lib/fast_rcnn/config.py and VGG16's solver and train.prototxt of fast-rcnn; Fast R-CNN, 2.3 and 3.1.
FAST_RCNN = {
    "input.short_side": 600,  # SCALES
    "input.long_side": 1000,  # MAX_SIZE
    "input.flip": True,  # USE_FLIPPED
    "input.use_difficult": True,
    "net.backbone": "vgg16",
    "net.head_features": 4096,
    "net.dropout": 0.5,
    "proposals.max_boxes": 2000,
    "proposals.min_side": 20.0,
    "proposals.width": 500,
    "proposals.workers": 2,  # nothing to reproduce
    "model.roi_targets.batch_size": 64,  # BATCH_SIZE 128 over IMS_PER_BATCH 2
    "model.roi_targets.positive_fraction": 0.25,  # FG_FRACTION
    "model.roi_targets.positive_iou": 0.5,  # FG_THRESH
    "model.roi_targets.negative_iou": (0.1, 0.5),  # BG_THRESH_LO, BG_THRESH_HI
    "model.roi_targets.add_ground_truth": True,
    "model.roi_sigma": 1.0,
    "model.roi_pooling": "max_pool",
    "model.max_log_scale": None,
    "model.detections.score_threshold": 0.0,  # no least score, but for the next but one
    "model.detections.nms_iou": 0.3,  # NMS
    "model.detections.max_detections": 2000,  # 100 of each class
    "evaluation.detections_per_class": 40,  # max_per_set of test.py, over the images
    "evaluation.svd_ranks": (0, 0),
    "optim.name": "sgd",
    "optim.learning_rate": 1e-3,
    "optim.schedule": "step",
    "optim.boundaries": (30_000,),  # stepsize
    "optim.decay": 0.1,  # gamma
    "optim.warmup_steps": 0,
    "optim.momentum": 0.9,
    "optim.weight_decay": 5e-4,
    "optim.decay_biases": False,  # decay_mult 0
    "optim.bias_learning_rate_factor": 2.0,  # lr_mult
    "optim.clip_norm": None,
    "training.steps": 40_000,
    "training.batch_size": 2,  # IMS_PER_BATCH
    "training.accumulate": 1,
    "training.frozen": ("conv1_", "conv2_"),  # lr_mult 0
    "training.pretrained": "caffe",
}

# finetuning/voc_2007_prototxt of rcnn, and its rcnn_test.m; R-CNN, 2.3 and appendix B.
RCNN = {
    "input.short_side": 500,  # of VOC's photos as they are
    "input.long_side": 500,
    "input.flip": False,  # mirror: of the windows
    "input.use_difficult": True,
    "net.backbone": "alexnet",
    "net.head_features": 4096,
    "net.dropout": 0.5,  # dropout_ratio
    "model.roi_targets.batch_size": 8,  # 16 times that is batchsize
    "model.roi_targets.positive_fraction": 0.25,  # det_fg_fraction
    "model.roi_targets.positive_iou": 0.5,  # det_fg_threshold
    "model.roi_targets.negative_iou": (0.0, 0.5),  # det_bg_threshold
    "model.roi_targets.add_ground_truth": True,
    "model.context": 16,  # det_context_pad
    "model.chunk": 64,  # nothing to reproduce
    "model.scoring": "svm",
    "model.detections.score_threshold": -1e6,  # below every margin
    "model.detections.nms_iou": 0.3,
    "model.detections.max_detections": 2000,  # max_per_image 100, of each class
    "evaluation.detections_per_class": 40,  # ave_per_image
    "linear.bbox_regression": True,
    "optim.learning_rate": 1e-3,
    "optim.boundaries": (20_000, 40_000, 60_000),  # stepsize
    "optim.decay": 0.1,  # gamma
    "optim.momentum": 0.9,
    "optim.weight_decay": 5e-4,
    "optim.decay_biases": False,  # weight_decay 0 of the second blob
    "optim.bias_learning_rate_factor": 2.0,  # blobs_lr
    "optim.classifier_learning_rate_factor": 10.0,  # blobs_lr of fc8_pascal
    "training.steps": 70_000,  # the snapshot that was published, of max_iter 100,000
    "training.batch_size": 16,
    "training.accumulate": 1,
    "training.frozen": (),
}

# tools/train_faster_rcnn_alt_opt.py, its cfgs and VGG16's solvers and prototxts in faster_rcnn_alt_opt of
# py-faster-rcnn; Faster R-CNN, 3.2.
ALTERNATING = {
    "stages.rpn.steps": 80_000,  # max_iters
    "stages.rpn.batch_size": 1,  # IMS_PER_BATCH
    "stages.rpn.boundaries": (60_000,),  # stepsize
    "stages.fast_rcnn.steps": 40_000,
    "stages.fast_rcnn.batch_size": 2,
    "stages.fast_rcnn.boundaries": (30_000,),
    "training.accumulate": 1,
    "training.frozen": ("conv1_", "conv2_"),
    "input.use_difficult": False,
    "model.train_proposals.pre_nms_top_n": 1_000_000,  # RPN_PRE_NMS_TOP_N -1: of more anchors than any image has
    "model.train_proposals.post_nms_top_n": 2000,  # RPN_POST_NMS_TOP_N
    "model.train_proposals.nms_iou": 0.7,
    "model.roi_targets.batch_size": 64,  # BATCH_SIZE 128 over IMS_PER_BATCH 2
    "model.roi_targets.positive_fraction": 0.25,
    "model.roi_targets.negative_iou": (0.0, 0.5),  # BG_THRESH_LO
    "optim.learning_rate": 1e-3,
    "optim.decay": 0.1,
    "optim.decay_biases": True,  # no decay_mult on biases
    "optim.bias_learning_rate_factor": 2.0,
}


@pytest.mark.parametrize(
    ("module", "table", "other"),
    [(fast_voc, FAST_RCNN, faster_voc), (rcnn_voc, RCNN, fast_voc), (faster_voc_alternating, ALTERNATING, faster_voc)],
)
def test_a_config_has_its_papers_numbers(module, table, other):
    fields, others = (dict(flat(config.get_config().to_dict())) for config in (module, other))
    assert {name: fields[name] for name in table} == table
    unlisted = {name for name, value in fields.items() if name not in table and others.get(name, "none") != value}
    assert unlisted <= {"name", "system"}
