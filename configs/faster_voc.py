"""Faster R-CNN, VGG16, PASCAL VOC 2007 trainval -> test: py-faster-rcnn's end-to-end recipe.

Every number is that project's (experiments/cfgs/faster_rcnn_end2end.yml and its solver); README lists the departures.
It starts from ImageNet's VGG16 as Caffe has it (BGR minus 102.9801, 115.9465, 122.7717), draws new layers from
N(0, 0.01) and bbox_pred from N(0, 0.001), pools 7x7 cells of stride 16, and sees 140,000 images: 14 epochs of 10,022
with the mirrored ones. VOC07's metric (11 points, IoU above 0.5) is `voc07@0.5` in metrics.json.

Published for the same net: 69.9 mAP with 4-step training; 70.0 to 71.2 by joint training in simple-faster-rcnn-pytorch.
No score of this config has been measured yet.

    python train.py --config=configs/faster_voc.py
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "faster_voc"
    config.system = "faster_rcnn"
    config.seed = 3

    # The official archives, prepared once under data_dir. Splits are sums of year/split.
    config.dataset = ConfigDict()
    config.dataset.kind = "voc"
    config.dataset.data_dir = "data"
    config.dataset.archives = ""  # the folder that they lie in or are downloaded to; empty: DATA_DIR/downloads/manual
    config.dataset.mirror = ""  # another address to download them from
    config.dataset.devkit = ""  # or an extracted VOCdevkit
    config.splits = ConfigDict({"train": "2007/trainval", "validation": "", "test": "2007/test"})

    # Short side to 600 pixels unless the long one then exceeds 1000; half of the images mirrored.
    config.input = ConfigDict()
    config.input.short_side = 600
    config.input.long_side = 1000
    config.input.flip = True
    config.input.max_gt = 64
    config.input.use_difficult = False  # objects marked difficult are not learned from
    config.input.workers = 4

    config.net = ConfigDict()
    config.net.backbone = "vgg16"
    config.net.width = 1.0
    config.net.head_features = 4096
    config.net.dropout = 0.5
    config.net.normalisation = ""  # how images enter and pooling rounds: empty takes what the starting weights had,
    config.net.pooling = ""  # here "caffe" (BGR minus its mean) and "ceil" (600x1000 -> 38x63)
    config.net.compute_dtype = "float32"

    # Faster R-CNN, 3.1.1: three scales (128, 256 and 512 pixels) and three ratios.
    config.anchors = ConfigDict({"scales": (8.0, 16.0, 32.0), "ratios": (0.5, 1.0, 2.0), "convention": "caffe"})

    config.model = ConfigDict()
    config.model.rpn_targets = ConfigDict()
    config.model.rpn_targets.positive_iou = 0.7
    config.model.rpn_targets.negative_iou = 0.3
    config.model.rpn_targets.batch_size = 256
    config.model.rpn_targets.positive_fraction = 0.5
    config.model.train_proposals = ConfigDict({"pre_nms_top_n": 12000, "post_nms_top_n": 2000, "nms_iou": 0.7})
    config.model.test_proposals = ConfigDict({"pre_nms_top_n": 6000, "post_nms_top_n": 300, "nms_iou": 0.7})
    config.model.min_proposal_size = 16.0
    config.model.roi_targets = ConfigDict()
    config.model.roi_targets.positive_iou = 0.5
    config.model.roi_targets.negative_iou = (0.0, 0.5)
    config.model.roi_targets.batch_size = 128
    config.model.roi_targets.positive_fraction = 0.25
    config.model.roi_targets.add_ground_truth = True
    config.model.delta_std = (0.1, 0.1, 0.2, 0.2)
    config.model.rpn_sigma = 3.0
    config.model.rpn_box_weight = 1.0
    config.model.rpn_box_normaliser = "sampled"  # the paper: 10 and "locations", nearly the same
    config.model.roi_sigma = 1.0
    config.model.roi_pooling = "max_pool"
    config.model.max_log_scale = config_dict.placeholder(float)
    config.model.cross_boundary_anchors = False
    config.model.detections = ConfigDict({"score_threshold": 0.05, "nms_iou": 0.3, "max_detections": 100})

    # Caffe's solver: 0.001, a tenth of it after 50,000 steps; biases learn twice as fast and decay too.
    config.optim = ConfigDict()
    config.optim.name = "sgd"
    config.optim.learning_rate = 1e-3
    config.optim.schedule = "step"
    config.optim.boundaries = (50_000,)
    config.optim.decay = 0.1
    config.optim.final_learning_rate = 0.0
    config.optim.warmup_steps = 0
    config.optim.momentum = 0.9
    config.optim.weight_decay = 5e-4
    config.optim.decay_biases = True
    config.optim.bias_learning_rate_factor = 2.0
    config.optim.clip_norm = config_dict.placeholder(float)

    # 70,000 steps of two images, one after the other (iter_size 2); conv1 and conv2 stay as they are.
    config.training = ConfigDict()
    config.training.steps = 70_000
    config.training.batch_size = 2
    config.training.accumulate = 2
    config.training.frozen = ("conv1_", "conv2_")
    config.training.pretrained = "caffe"  # ImageNet's VGG16: "caffe", "torchvision" or "keras"; empty: random weights
    config.training.pretrained_file = ""  # that file, or another address to download it from
    config.training.init_from = ""  # or a workdir or checkpoint to start from; layers of another size start afresh
    config.training.log_every = 20
    config.training.eval_every = 0  # the paper trains on all of trainval: nothing is left to validate on
    config.training.checkpoint_every = 2_000
    config.training.keep = 2

    config.evaluation = ConfigDict({"batch_size": 2, "pictures": 16})
    config.evaluation.detections_per_class = 0  # of the split an image, on average; 0: all
    config.evaluation.svd_ranks = (0, 0)  # of fc6 and fc7, compressed to detect faster; (0, 0): as trained
    return config
