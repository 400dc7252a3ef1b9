"""Faster R-CNN on generated images of shapes, from scratch on a CPU: the quick start.

A quarter of VGG16's channels at 192 x 192 pixels, with RoIAlign and AdamW, unlike the paper. mAP@0.5 (VOC10) was 0.883
on the 200 test images and 0.881 on the 100 validation images with seed 0 (`make demo`), 0.902 and 0.910 with seed 1.
docs/results.md has the time.

    python train.py --config=configs/faster_shapes.py
    python evaluate.py --workdir=runs/faster_shapes
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "faster_shapes"
    config.system = "faster_rcnn"
    config.seed = 0

    # Generated once under data_dir: 1,600, 100 and 200 images.
    config.dataset = ConfigDict({"kind": "shapes", "data_dir": "data", "image_size": 192})
    config.dataset.update({"train": 1600, "validation": 100, "test": 200, "seed": 1})
    config.splits = ConfigDict({"train": "train", "validation": "validation", "test": "test"})

    config.input = ConfigDict()
    config.input.short_side = 192
    config.input.long_side = 192
    config.input.flip = True  # each image with probability 1/2
    config.input.max_gt = 8
    config.input.use_difficult = False
    config.input.drop_empty = False  # images without objects are trained on as background
    config.input.workers = 2

    # A quarter of VGG16's channels.
    config.net = ConfigDict()
    config.net.backbone = "vgg16"
    config.net.width = 0.25
    config.net.head_features = 128
    config.net.dropout = 0.0
    config.net.dropout_scaling = ""  # empty: what the initial weights expect
    config.net.init = "looks_linear"
    config.net.preprocessing = ""  # empty: what the initial weights expect
    config.net.pool_rounding = ""
    config.net.compute_dtype = "float32"

    # Anchors of 24, 40 and 72 pixels for objects of 19 to 81: scales are in units of the stride of 16 pixels.
    config.anchors = ConfigDict({"scales": (1.5, 2.5, 4.5), "ratios": (0.5, 1.0, 2.0)})
    config.anchors.convention = "caffe"

    # The region proposal network: Faster R-CNN, 3.1.
    config.rpn = ConfigDict()
    config.rpn.targets = ConfigDict()
    config.rpn.targets.positive_iou = 0.7
    config.rpn.targets.negative_iou = 0.3
    config.rpn.targets.batch_size = 256
    config.rpn.targets.positive_fraction = 0.5
    config.rpn.train_proposals = ConfigDict({"pre_nms_top_n": 1000, "post_nms_top_n": 300, "nms_iou": 0.7})
    config.rpn.test_proposals = ConfigDict({"pre_nms_top_n": 1000, "post_nms_top_n": 100, "nms_iou": 0.7})
    config.rpn.min_size = 8.0  # pixels of the original image
    config.rpn.sigma = 3.0
    config.rpn.box_weight = 1.0
    config.rpn.box_normaliser = "sampled"
    config.rpn.cross_boundary_anchors = False
    config.rpn.max_log_scale = config_dict.placeholder(float)

    # The detection head: Fast R-CNN, 2.3.
    config.head = ConfigDict()
    config.head.roi_targets = ConfigDict()
    config.head.roi_targets.positive_iou = 0.5
    config.head.roi_targets.negative_iou = (0.0, 0.5)
    config.head.roi_targets.batch_size = 64
    config.head.roi_targets.positive_fraction = 0.5
    # NMS at 0.5: shapes of one class may overlap.
    config.head.detections = ConfigDict({"score_threshold": 0.05, "nms_iou": 0.5, "max_detections": 100})
    config.head.detections.pre_nms_per_class = 0  # all
    config.head.sigma = 1.0
    config.head.box_weight = 1.0
    config.head.roi_pooling = "align"
    config.head.delta_std = (0.1, 0.1, 0.2, 0.2)
    config.head.max_log_scale = config_dict.placeholder(float)

    config.optim = ConfigDict()
    config.optim.name = "adamw"
    config.optim.learning_rate = 1.4e-3
    config.optim.schedule = "cosine"
    config.optim.boundaries = ()  # of "step"
    config.optim.decay = 0.1  # of "step"
    config.optim.final_learning_rate = 0.0
    config.optim.warmup_steps = 100
    config.optim.momentum = 0.9
    config.optim.weight_decay = 1e-4
    config.optim.decay_biases = False
    config.optim.bias_learning_rate_factor = 1.0
    config.optim.reference_fan_in = 400  # rate of a kernel: learning_rate * sqrt(400 / its fan-in)

    config.training = ConfigDict()
    config.training.steps = 2_200
    config.training.batch_size = 2
    config.training.accumulate = 1
    config.training.frozen = ()
    config.training.pretrained = ""  # ImageNet's VGG16: "keras_notop" (59 MB), ...; empty: random weights
    config.training.pretrained_file = ""  # that file, or another address to download it from
    config.training.init_from = ""  # or a workdir or checkpoint to start from; layers of another shape stay random
    config.training.log_every = 50
    config.training.eval_every = 1_100
    config.training.checkpoint_every = 500
    config.training.keep = 2
    config.training.profile = (0, 0)  # first and last step traced into WORKDIR/profile; (0, 0): none
    config.training.reference_batch_size = 0  # the batch size that rates and steps are for; 0: they are not scaled

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 4
    config.evaluation.pictures = 16
    config.evaluation.detections_per_class = 0  # per image, on average over the split; 0: all
    config.evaluation.svd_ranks = (0, 0)  # of fc6 and fc7, compressed to detect faster; (0, 0): as trained
    config.evaluation.match_at_threshold = False  # True: IoU >= 0.5 is a match, as in the MATLAB devkit
    return config
