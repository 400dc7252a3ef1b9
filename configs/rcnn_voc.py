"""R-CNN, AlexNet, PASCAL VOC 2007 trainval -> test: fine-tuning, SVMs and box regression of the paper.

Windows of Selective Search are warped to 227 x 227 pixels with 16 of context. Fine-tuning takes 32 positive and 96
background windows of the whole data set per step, so up to 128 images are decoded (--config.head.sampling=per_image: 2
and 6 of each of 16 images). The new layer trains at ten times the rate of the others; biases do not decay. Then come
one SVM per class on fc7 with hard negatives, and one box regressor per class on pool5. The comments give the names of
finetuning/voc_2007_prototxt and rcnn_test.m of rcnn.

Published: 58.5 mAP; 54.2 without box regression (--config.linear.bbox_regression=False); 50.9 without box regression
and with the softmax instead of the SVMs (evaluate.py --config=configs/rcnn_voc.py
--config.linear.bbox_regression=False --config.head.scoring=softmax). VGG16: 66.0 (--config.net.backbone=vgg16, whose
weights are downloaded). No score of this config has been measured yet.

CaffeNet's weights cannot be downloaded in a readable layout: convert Caffe's file to a .pth with the names conv1 to fc7
and name it in training.pretrained_file. fc7 of 2,000 windows takes 33 MB of disk per image (stages/2_features), 164 GB
for VOC2007 trainval.

    python train.py --config=configs/rcnn_voc.py --config.training.pretrained_file=caffenet.pth
"""

from ml_collections import ConfigDict

from configs import fast_voc


def get_config() -> ConfigDict:
    config = fast_voc.get_config()
    config.name = "rcnn_voc"
    config.system = "rcnn"

    # VOC's images as they are: their longest side is 500 pixels. The windows are mirrored, not the images.
    config.input.short_side = 500
    config.input.long_side = 500
    config.input.flip = False
    config.input.drop_empty = False  # windows of every image

    config.net.backbone = "alexnet"

    config.head = ConfigDict()
    config.head.roi_targets = ConfigDict()
    config.head.roi_targets.positive_iou = 0.5  # det_fg_threshold
    config.head.roi_targets.negative_iou = (0.0, 0.5)  # det_bg_threshold
    config.head.roi_targets.batch_size = 8  # times training.batch_size: batchsize
    config.head.roi_targets.positive_fraction = 0.25  # det_fg_fraction
    config.head.detections = ConfigDict({"score_threshold": -1e6, "nms_iou": 0.3})  # below every margin
    config.head.detections.pre_nms_per_class = 100  # max_per_image
    config.head.detections.max_detections = 2000  # of 20 classes: no limit
    config.head.context = 16  # det_context_pad
    config.head.chunk = 64  # windows per image that pass the net at a time
    config.head.scoring = "svm"
    config.head.sampling = "data_set"

    config.linear = ConfigDict({"bbox_regression": True})

    config.optim.boundaries = (20_000, 40_000, 60_000)  # stepsize
    config.optim.classifier_learning_rate_factor = 10.0  # blobs_lr of fc8_pascal
    config.training.steps = 70_000  # the published snapshot, of max_iter 100,000
    config.training.batch_size = 16
    config.training.frozen = ()
    return config
