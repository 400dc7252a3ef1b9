"""Faster R-CNN, VGG16, PASCAL VOC 2007 trainval -> test: py-faster-rcnn's end-to-end recipe.

Every number is that project's (experiments/cfgs/faster_rcnn_end2end.yml and its solver); README lists the departures.
The published figure of the same net with 4-step training is 69.9 mAP. The recipe starts from ImageNet's weights, which
cannot be loaded yet: no score is claimed. From random weights it diverges within a few steps, since Caffe's input is 60
times larger than torchvision's.

    python train.py --config=configs/faster_voc.py --config.dataset.devkit=VOCdevkit/VOC2007
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "faster_voc"
    config.seed = 3

    # Where the images come from; the splits are files of ImageSets/Main, read once and stored under data_dir.
    config.dataset = ConfigDict()
    config.dataset.kind = "devkit"
    config.dataset.devkit = ""
    config.dataset.data_dir = "data"
    config.dataset.class_names = ()  # empty: those found in the annotations, in alphabetical order
    config.dataset.max_pixels = 50_000_000  # larger images are left out before they are decoded
    config.splits = ConfigDict({"train": "trainval", "validation": "", "test": "test"})

    # Short side to 600 pixels unless the long one then exceeds 1000; half of the images mirrored.
    config.input = ConfigDict()
    config.input.short_side = 600
    config.input.long_side = 1000
    config.input.flip = True
    config.input.max_gt = 64
    config.input.workers = 4

    config.net = ConfigDict()
    config.net.width = 1.0
    config.net.head_features = 4096
    config.net.dropout = 0.5
    config.net.normalisation = "caffe"
    config.net.pooling = "ceil"
    config.net.compute_dtype = "float32"

    # Faster R-CNN, 3.1.1: three scales (128, 256 and 512 pixels) and three ratios.
    config.anchors = ConfigDict({"scales": (8.0, 16.0, 32.0), "ratios": (0.5, 1.0, 2.0)})

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
    config.model.delta_std = (0.1, 0.1, 0.2, 0.2)
    config.model.rpn_sigma = 3.0
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
    config.training.init_from = ""  # a workdir or checkpoint to start from; layers of another size start afresh
    config.training.log_every = 20
    config.training.eval_every = 0  # the paper trains on all of trainval: nothing is left to validate on
    config.training.checkpoint_every = 2_000
    config.training.keep = 2

    config.evaluation = ConfigDict({"batch_size": 2, "pictures": 16})
    return config
