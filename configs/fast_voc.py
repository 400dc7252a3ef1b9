"""Fast R-CNN, VGG16, PASCAL VOC 2007 trainval -> test, on Selective Search's proposals: the paper's recipe.

Two images of 64 RoIs per step, a quarter of them positive, background from IoU 0.1 up. Objects marked difficult are
trained on too. Deltas are normalised per class. 40,000 steps at 0.001, a tenth of it after 30,000; biases do not decay.
The comments give the names of lib/fast_rcnn/config.py and of VGG16's solver and train.prototxt of fast-rcnn.

Published: 66.9 mAP (Fast R-CNN, table 1); 68.1 without the difficult objects (--config.input.use_difficult=False);
66.8 with SVMs in place of the softmax (--config.head.scoring=svm);
66.6 with fc6 and fc7 compressed (evaluate.py --config=configs/fast_voc.py --config.evaluation.svd_ranks=1024,256).
For AlexNet, 57.1: --config.net.backbone=alexnet --config.training.frozen="('conv1/',)" with Caffe's weights in
training.pretrained_file. No score of this config has been measured yet.

The proposals are searched once, before training, and saved in DATA_DIR/proposals. That takes 2 to 3 seconds of a core
per image: 5.5 to 8.3 hours of one core for VOC 2007 trainval and test, shared by proposals.workers.

    python train.py --config=configs/fast_voc.py
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "fast_voc"
    config.system = "fast_rcnn"
    config.seed = 3  # RNG_SEED

    # The official archives, prepared once under data_dir. Splits are sums of year/split.
    config.dataset = ConfigDict()
    config.dataset.kind = "voc"
    config.dataset.data_dir = "data"
    config.dataset.archives = ""  # folder of the archives, downloaded where missing; empty: DATA_DIR/downloads/manual
    config.dataset.mirror = ""  # another address to download them from
    config.dataset.devkit = ""  # or an extracted VOCdevkit
    config.splits = ConfigDict({"train": "2007/trainval", "validation": "", "test": "2007/test"})

    # Short side to 600 pixels unless the long one then exceeds 1000; each image mirrored with probability 1/2.
    config.input = ConfigDict()
    config.input.short_side = 600  # SCALES
    config.input.long_side = 1000  # MAX_SIZE
    config.input.flip = True  # USE_FLIPPED
    config.input.max_gt = 64
    config.input.use_difficult = True
    config.input.drop_empty = True
    config.input.workers = 4

    config.net = ConfigDict()
    config.net.backbone = "vgg16"
    config.net.width = 1.0
    config.net.head_features = 4096
    config.net.dropout = 0.5  # dropout_ratio
    config.net.dropout_scaling = ""  # empty: what the initial weights expect, here "train"
    config.net.init = "he_normal"
    config.net.preprocessing = ""  # empty: what the initial weights expect, here "caffe" (BGR minus its mean)
    config.net.pool_rounding = ""  # and here "ceil" (600x1000 -> 38x63)
    config.net.compute_dtype = "float32"

    # Selective Search's fast mode on images resized to a width of 500 pixels; boxes narrower than 20 are dropped.
    config.proposals = ConfigDict({"max_boxes": 2000, "min_side": 20.0, "width": 500, "workers": 2})
    config.proposals.segment_sizes = (50, 100)  # ks and minSize of R-CNN's selective_search_boxes.m
    config.proposals.file = ""  # the authors' boxes instead, as in voc_{split}.mat

    # The detection head: Fast R-CNN, 2.3.
    config.head = ConfigDict()
    config.head.roi_targets = ConfigDict()
    config.head.roi_targets.positive_iou = 0.5  # FG_THRESH
    config.head.roi_targets.negative_iou = (0.1, 0.5)  # BG_THRESH_LO, BG_THRESH_HI
    config.head.roi_targets.batch_size = 64  # BATCH_SIZE 128 over IMS_PER_BATCH 2
    config.head.roi_targets.positive_fraction = 0.25  # FG_FRACTION
    # Boxes of any score: evaluation takes the best of each class of the split, 40 per image on average.
    config.head.detections = ConfigDict({"score_threshold": -1e6, "nms_iou": 0.3})
    config.head.detections.pre_nms_per_class = 100  # max_per_image
    config.head.detections.max_detections = 2000  # of 20 classes: no limit
    config.head.sigma = 1.0
    config.head.box_weight = 1.0  # loss_weight of loss_bbox
    config.head.roi_pooling = "max_pool"
    config.head.max_log_scale = config_dict.placeholder(float)
    config.head.scoring = "softmax"  # or "svm": SVMs are fitted after training

    # Caffe's solver: 0.001, a tenth of it after 30,000 steps; the rate of biases is twice as high, without decay.
    config.optim = ConfigDict()
    config.optim.name = "sgd"
    config.optim.learning_rate = 1e-3  # base_lr
    config.optim.schedule = "step"  # lr_policy
    config.optim.boundaries = (30_000,)  # stepsize
    config.optim.decay = 0.1  # gamma
    config.optim.final_learning_rate = 0.0  # of "cosine"
    config.optim.warmup_steps = 0
    config.optim.momentum = 0.9
    config.optim.weight_decay = 5e-4
    config.optim.decay_biases = False  # decay_mult 0
    config.optim.bias_learning_rate_factor = 2.0  # lr_mult

    # 40,000 steps of two images; conv1 and conv2 are not trained (lr_mult 0).
    config.training = ConfigDict()
    config.training.steps = 40_000  # max_iters
    config.training.batch_size = 2  # IMS_PER_BATCH
    config.training.accumulate = 1
    config.training.frozen = ("conv1_", "conv2_")
    config.training.pretrained = "caffe"  # ImageNet's VGG16: "caffe", "torchvision" or "keras"; empty: random weights
    config.training.pretrained_file = ""  # that file, or another address to download it from
    config.training.init_from = ""  # or a workdir or checkpoint to start from; layers of another shape stay random
    config.training.log_every = 20
    config.training.eval_every = 0  # the paper trains on all of trainval: nothing is left to validate on
    config.training.checkpoint_every = 2_000
    config.training.keep = 2
    config.training.profile = (0, 0)  # first and last step traced into WORKDIR/profile; (0, 0): none
    config.training.reference_batch_size = 0  # the batch size that rates and steps are for; 0: they are not scaled

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 2
    config.evaluation.pictures = 16
    config.evaluation.detections_per_class = 40  # max_per_set: per image, on average over the split
    config.evaluation.svd_ranks = (0, 0)  # of fc6 and fc7, compressed to detect faster; (0, 0): as trained
    config.evaluation.match_at_threshold = False  # True: IoU >= 0.5 is a match, as in the MATLAB devkit
    return config
