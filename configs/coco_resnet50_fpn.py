"""Faster R-CNN, ResNet-50 with a feature pyramid: torchvision's published COCO detector, 37.0 AP on val2017 there.

It detects the 80 classes of COCO in any photo, without training:

    jaxdet predict --pretrained=coco photo.jpg

The file (about 168 MB) is downloaded once; docs/weights.md has its address. The net has torchvision's 91 outputs: label
k is COCO's category k, and ten categories that COCO does not use are named "N/A". The training fields are those of
torchvision's reference (26 epochs of 118,287 images by 16 per step); nothing has been trained with them here, and no AP
of our own has been measured.
"""

import math

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "coco_resnet50_fpn"
    config.system = "faster_rcnn_fpn"
    config.seed = 0

    # A folder of your images, in VOC layout, VOC XML, COCO JSON or YOLO; see docs/own-data.md.
    config.dataset = ConfigDict()
    config.dataset.kind = "devkit"
    config.dataset.devkit = ""  # the folder
    config.dataset.data_dir = "data"  # where the prepared copy is saved
    config.dataset.class_names = ()  # empty: every class of the folder
    config.dataset.max_pixels = 50_000_000  # larger images are skipped before they are decoded
    config.splits = ConfigDict({"train": "train", "validation": "val", "test": "test"})

    # Short side to 800 pixels unless the long one then exceeds 1333.
    config.input = ConfigDict()
    config.input.short_side = 800
    config.input.long_side = 1333
    config.input.flip = True
    config.input.max_gt = 64
    config.input.use_difficult = False  # objects marked difficult are not trained on
    config.input.drop_empty = True  # images without objects are left out
    config.input.workers = 4

    config.net = ConfigDict()
    config.net.backbone = "resnet50"
    config.net.width = 1.0
    config.net.head_features = 1024
    config.net.preprocessing = ""  # empty: what the initial weights expect
    config.net.compute_dtype = "float32"

    config.anchors = ConfigDict({"sizes": (32.0, 64.0, 128.0, 256.0, 512.0), "ratios": (0.5, 1.0, 2.0)})

    # The region proposal network, over five levels; the limits before NMS are per level.
    config.rpn = ConfigDict()
    config.rpn.targets = ConfigDict()
    config.rpn.targets.positive_iou = 0.7
    config.rpn.targets.negative_iou = 0.3
    config.rpn.targets.batch_size = 256
    config.rpn.targets.positive_fraction = 0.5
    config.rpn.train_proposals = ConfigDict({"pre_nms_top_n": 2000, "post_nms_top_n": 2000, "nms_iou": 0.7})
    config.rpn.test_proposals = ConfigDict({"pre_nms_top_n": 1000, "post_nms_top_n": 1000, "nms_iou": 0.7})
    config.rpn.min_size = 1e-3
    config.rpn.sigma = 3.0
    config.rpn.box_weight = 1.0
    config.rpn.box_normaliser = "sampled"
    config.rpn.cross_boundary_anchors = True
    config.rpn.max_log_scale = math.log(1000 / 16)

    # The detection head.
    config.head = ConfigDict()
    config.head.roi_targets = ConfigDict()
    config.head.roi_targets.positive_iou = 0.5
    config.head.roi_targets.negative_iou = (0.0, 0.5)
    config.head.roi_targets.batch_size = 512
    config.head.roi_targets.positive_fraction = 0.25
    config.head.detections = ConfigDict({"score_threshold": 0.05, "nms_iou": 0.5, "max_detections": 100})
    config.head.detections.pre_nms_per_class = 0
    config.head.detections.min_size = 1e-2
    config.head.sigma = 3.0
    config.head.box_weight = 1.0
    config.head.roi_pooling = "align"
    config.head.delta_std = (0.1, 0.1, 0.2, 0.2)
    config.head.max_log_scale = math.log(1000 / 16)

    config.optim = ConfigDict()
    config.optim.name = "sgd"
    config.optim.learning_rate = 0.02
    config.optim.schedule = "step"
    config.optim.boundaries = (16 * 7_393, 22 * 7_393)  # of "step"
    config.optim.decay = 0.1  # of "step"
    config.optim.final_learning_rate = 0.0  # of "cosine"
    config.optim.warmup_steps = 1_000
    config.optim.momentum = 0.9
    config.optim.weight_decay = 1e-4
    config.optim.decay_biases = True
    config.optim.bias_learning_rate_factor = 1.0
    config.optim.reference_fan_in = 0

    config.training = ConfigDict()
    config.training.steps = 26 * 7_393
    config.training.batch_size = 16
    config.training.accumulate = 1
    config.training.frozen = ("conv1", "layer1")  # the batch norms are never trained
    config.training.pretrained = "resnet50"  # ImageNet's; "coco" starts from the published detector
    config.training.pretrained_file = ""  # that file, or another address to download it from
    config.training.init_from = ""  # or a workdir, checkpoint or exported file to start from
    config.training.log_every = 20
    config.training.eval_every = 7_393
    config.training.checkpoint_every = 1_000
    config.training.keep = 2
    config.training.profile = (0, 0)  # first and last step traced into WORKDIR/profile; (0, 0): none
    config.training.reference_batch_size = 0  # the batch size that rates and steps are for; 0: they are not scaled

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 1
    config.evaluation.pictures = 16
    config.evaluation.detections_per_class = 0  # per image, on average over the split; 0: all
    config.evaluation.svd_ranks = (0, 0)  # of fc6 and fc7, compressed to detect faster; (0, 0): as trained
    config.evaluation.match_at_threshold = False  # True: IoU >= 0.5 is a match, as in the MATLAB devkit
    return config
