"""Faster R-CNN, VGG16, PASCAL VOC 2007 trainval -> test: py-faster-rcnn's end-to-end recipe.

Every number is that project's (experiments/cfgs/faster_rcnn_end2end.yml, lib/fast_rcnn/config.py, the VGG16 end-to-end
solver and train.prototxt); the comments give its names, docs/differences.md lists the differences. Training starts from
ImageNet's VGG16 as Caffe has it (BGR minus 102.9801, 115.9465, 122.7717). New layers are initialised from N(0, 0.01),
bbox_pred from N(0, 0.001). RoI pooling makes 7x7 cells of a map of stride 16. Training sees 140,000 images: 14 epochs
of 10,022 with the mirrored ones. VOC07's metric (11 points, IoU above 0.5) is `voc07@0.5` in metrics.json.

Published for the same net: 69.9 mAP with 4-step training; 70.0 to 71.2 by joint training in simple-faster-rcnn-pytorch.
No score of this config has been measured yet.

    python train.py --config=configs/faster_voc.py
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "faster_voc"
    config.system = "faster_rcnn"
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
    config.input.use_difficult = False  # use_diff
    config.input.drop_empty = True  # filter_roidb
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

    # Faster R-CNN, 3.1.1: three scales (128, 256 and 512 pixels) and three ratios, rounded as generate_anchors.py does.
    config.anchors = ConfigDict({"scales": (8.0, 16.0, 32.0), "ratios": (0.5, 1.0, 2.0), "convention": "caffe"})

    # The region proposal network: Faster R-CNN, 3.1.
    config.rpn = ConfigDict()
    config.rpn.targets = ConfigDict()
    config.rpn.targets.positive_iou = 0.7  # RPN_POSITIVE_OVERLAP
    config.rpn.targets.negative_iou = 0.3  # RPN_NEGATIVE_OVERLAP
    config.rpn.targets.batch_size = 256  # RPN_BATCHSIZE
    config.rpn.targets.positive_fraction = 0.5  # RPN_FG_FRACTION
    config.rpn.train_proposals = ConfigDict()
    config.rpn.train_proposals.pre_nms_top_n = 12000  # TRAIN.RPN_PRE_NMS_TOP_N
    config.rpn.train_proposals.post_nms_top_n = 2000  # TRAIN.RPN_POST_NMS_TOP_N
    config.rpn.train_proposals.nms_iou = 0.7  # TRAIN.RPN_NMS_THRESH
    config.rpn.test_proposals = ConfigDict()
    config.rpn.test_proposals.pre_nms_top_n = 6000  # TEST.RPN_PRE_NMS_TOP_N
    config.rpn.test_proposals.post_nms_top_n = 300  # TEST.RPN_POST_NMS_TOP_N
    config.rpn.test_proposals.nms_iou = 0.7  # TEST.RPN_NMS_THRESH
    config.rpn.min_size = 16.0  # RPN_MIN_SIZE, times the image's scale
    config.rpn.sigma = 3.0  # sigma of rpn_loss_bbox
    config.rpn.box_weight = 1.0  # loss_weight of rpn_loss_bbox
    config.rpn.box_normaliser = "sampled"  # the paper: box_weight 10 and "locations", nearly the same
    config.rpn.cross_boundary_anchors = False  # _allowed_border 0
    config.rpn.max_log_scale = config_dict.placeholder(float)

    # The detection head: Fast R-CNN, 2.3.
    config.head = ConfigDict()
    config.head.roi_targets = ConfigDict()
    config.head.roi_targets.positive_iou = 0.5  # FG_THRESH
    config.head.roi_targets.negative_iou = (0.0, 0.5)  # BG_THRESH_LO, BG_THRESH_HI
    config.head.roi_targets.batch_size = 128  # BATCH_SIZE
    config.head.roi_targets.positive_fraction = 0.25  # FG_FRACTION
    config.head.detections = ConfigDict()
    config.head.detections.score_threshold = 0.05  # thresh of test_net
    config.head.detections.pre_nms_per_class = 0  # all
    config.head.detections.nms_iou = 0.3  # TEST.NMS
    config.head.detections.max_detections = 100  # max_per_image
    config.head.sigma = 1.0
    config.head.box_weight = 1.0  # loss_weight of loss_bbox
    config.head.roi_pooling = "max_pool"
    config.head.delta_std = (0.1, 0.1, 0.2, 0.2)  # BBOX_NORMALIZE_STDS
    config.head.max_log_scale = config_dict.placeholder(float)

    # Caffe's solver: 0.001, a tenth of it after 50,000 steps; the rate of biases is twice as high, and they decay too.
    config.optim = ConfigDict()
    config.optim.name = "sgd"
    config.optim.learning_rate = 1e-3  # base_lr
    config.optim.schedule = "step"  # lr_policy
    config.optim.boundaries = (50_000,)  # stepsize
    config.optim.decay = 0.1  # gamma
    config.optim.final_learning_rate = 0.0  # of "cosine"
    config.optim.warmup_steps = 0
    config.optim.momentum = 0.9
    config.optim.weight_decay = 5e-4
    config.optim.decay_biases = True  # no decay_mult on biases
    config.optim.bias_learning_rate_factor = 2.0  # lr_mult

    # 70,000 steps of two images, one after the other (iter_size 2); conv1 and conv2 are not trained (lr_mult 0).
    config.training = ConfigDict()
    config.training.steps = 70_000  # max_iters
    config.training.batch_size = 2
    config.training.accumulate = 2  # iter_size
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
    config.evaluation.detections_per_class = 0  # per image, on average over the split; 0: all
    config.evaluation.svd_ranks = (0, 0)  # of fc6 and fc7, compressed to detect faster; (0, 0): as trained
    config.evaluation.match_at_threshold = False  # True: IoU >= 0.5 is a match, as in the MATLAB devkit
    return config
