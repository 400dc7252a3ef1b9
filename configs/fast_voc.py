"""Fast R-CNN, VGG16, PASCAL VOC 2007 trainval -> test, on Selective Search's proposals: the paper's recipe.

Two images of 64 RoIs a step, a quarter of them positive, background from IoU 0.1 on; objects marked difficult are
learned from, too; deltas normalised by class. 40,000 steps, 0.001 and a tenth of it after 30,000; biases do not decay.

Published: 66.9 mAP (Fast R-CNN, table 1); 68.1 without the difficult objects (--config.input.use_difficult=False);
66.6 with fc6 and fc7 compressed (evaluate.py --config=configs/fast_voc.py --config.evaluation.svd_ranks=1024,256).
For AlexNet, 57.1: --config.net.backbone=alexnet --config.training.frozen="('conv1/',)" with Caffe's weights in
training.pretrained_file. No score of this config has been measured yet.

The proposals are searched before training, once, into DATA_DIR/proposals: 2 to 3 seconds of a core an image, 5.5 to 8.3
hours of one core for VOC 2007 trainval and test, shared by proposals.workers.

    python train.py --config=configs/fast_voc.py
"""

from ml_collections import ConfigDict, config_dict

from configs import faster_voc


def get_config() -> ConfigDict:
    config = faster_voc.get_config()
    config.name = "fast_voc"
    config.system = "fast_rcnn"
    del config.anchors

    # Selective Search's fast mode on images resized to a width of 500 pixels; narrower boxes than 20 are left out.
    config.proposals = ConfigDict({"max_boxes": 2000, "min_side": 20.0, "width": 500, "workers": 2})

    config.input.use_difficult = True

    config.model = ConfigDict()
    config.model.roi_targets = ConfigDict()
    config.model.roi_targets.positive_iou = 0.5
    config.model.roi_targets.negative_iou = (0.1, 0.5)
    config.model.roi_targets.batch_size = 64
    config.model.roi_targets.positive_fraction = 0.25
    config.model.roi_targets.add_ground_truth = True
    config.model.roi_sigma = 1.0
    config.model.roi_pooling = "max_pool"
    config.model.max_log_scale = config_dict.placeholder(float)
    # Boxes of any score: evaluation keeps the best of each class of the split, 40 an image on average.
    config.model.detections = ConfigDict({"score_threshold": 0.0, "nms_iou": 0.3, "max_detections": 2000})

    config.optim.boundaries = (30_000,)
    config.optim.decay_biases = False
    config.training.steps = 40_000
    config.training.batch_size = 2
    config.training.accumulate = 1
    config.evaluation.detections_per_class = 40
    return config
