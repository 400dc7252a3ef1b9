"""Fast R-CNN on your own photos (see docs/own-data.md), on Selective Search's proposals.

As faster_devkit.py (RoIAlign and AdamW, unlike the paper), but with proposals from Selective Search. They are searched
once, before training, and saved in DATA_DIR/proposals. The search takes 2 to 3 seconds of a core per photo at
proposals.width 500, more at larger widths.

    python train.py --config=configs/fast_devkit.py --config.dataset.devkit=path/to/folder
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "fast_devkit"
    config.system = "fast_rcnn"
    config.seed = 0

    # A folder of your images, in VOC layout, VOC XML, COCO JSON or YOLO; see docs/own-data.md.
    config.dataset = ConfigDict()
    config.dataset.kind = "devkit"
    config.dataset.devkit = ""  # the folder
    config.dataset.data_dir = "data"  # where the prepared copy is saved
    config.dataset.class_names = ()  # empty: every class of the folder
    config.dataset.max_pixels = 50_000_000  # larger images are skipped before they are decoded
    config.splits = ConfigDict({"train": "train", "validation": "val", "test": "test"})

    # Short side to 600 pixels unless the long one then exceeds 1000; each image mirrored with probability 1/2.
    config.input = ConfigDict()
    config.input.short_side = 600
    config.input.long_side = 1000
    config.input.flip = True
    config.input.max_gt = 64
    config.input.use_difficult = False  # objects marked difficult are not trained on
    config.input.drop_empty = False  # images without objects are trained on as background
    config.input.workers = 4

    # A quarter of VGG16's channels.
    config.net = ConfigDict()
    config.net.backbone = "vgg16"
    config.net.width = 0.25
    config.net.head_features = 256
    config.net.dropout = 0.0
    config.net.dropout_scaling = ""  # empty: what the initial weights expect
    config.net.init = "looks_linear"
    config.net.preprocessing = ""  # empty: what the initial weights expect
    config.net.pool_rounding = ""
    config.net.compute_dtype = "float32"

    # Selective Search's fast mode on images resized to a width of 500 pixels; boxes narrower than 20 are dropped.
    config.proposals = ConfigDict({"max_boxes": 2000, "min_side": 20.0, "width": 500, "workers": 2})
    config.proposals.segment_sizes = ()  # empty: OpenCV's segmentations
    config.proposals.file = ""  # boxes of your own instead, as in boxes_{split}.mat

    # The detection head: Fast R-CNN, 2.3.
    config.head = ConfigDict()
    config.head.roi_targets = ConfigDict()
    config.head.roi_targets.positive_iou = 0.5
    config.head.roi_targets.negative_iou = (0.0, 0.5)
    config.head.roi_targets.batch_size = 64
    config.head.roi_targets.positive_fraction = 0.25
    config.head.detections = ConfigDict({"score_threshold": 0.05, "nms_iou": 0.3, "max_detections": 100})
    config.head.detections.pre_nms_per_class = 0  # all
    config.head.sigma = 1.0
    config.head.box_weight = 1.0
    config.head.roi_pooling = "align"
    config.head.max_log_scale = config_dict.placeholder(float)
    config.head.scoring = "softmax"  # or "svm": SVMs are fitted after training, and score_threshold is of their margins

    config.optim = ConfigDict()
    config.optim.name = "adamw"
    config.optim.learning_rate = 5e-4
    config.optim.schedule = "cosine"
    config.optim.boundaries = ()  # of "step"
    config.optim.decay = 0.1  # of "step"
    config.optim.final_learning_rate = 0.0
    config.optim.warmup_steps = 100
    config.optim.momentum = 0.9
    config.optim.weight_decay = 1e-4
    config.optim.decay_biases = False
    config.optim.bias_learning_rate_factor = 1.0
    config.optim.reference_fan_in = 0

    config.training = ConfigDict()
    config.training.steps = 5_000
    config.training.batch_size = 2
    config.training.accumulate = 1
    config.training.frozen = ()
    config.training.pretrained = ""  # ImageNet's VGG16: "keras_notop" (59 MB), ...; empty: random weights
    config.training.pretrained_file = ""  # that file, or another address to download it from
    config.training.init_from = ""  # or a workdir or checkpoint to start from; layers of another shape stay random
    config.training.log_every = 20
    config.training.eval_every = 500
    config.training.checkpoint_every = 250
    config.training.keep = 2
    config.training.profile = (0, 0)  # first and last step traced into WORKDIR/profile; (0, 0): none
    config.training.reference_batch_size = 0  # the batch size that rates and steps are for; 0: they are not scaled

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 2
    config.evaluation.pictures = 16
    config.evaluation.detections_per_class = 0  # per image, on average over the split; 0: all
    config.evaluation.svd_ranks = (0, 0)  # of fc6 and fc7, compressed to detect faster; (0, 0): as trained
    config.evaluation.match_at_threshold = False  # True: IoU >= 0.5 is a match, as in the MATLAB devkit
    return config
