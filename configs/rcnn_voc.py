"""R-CNN, AlexNet, PASCAL VOC 2007 trainval -> test: fine-tuning, SVMs and box regression of the paper.

Windows of Selective Search are warped to 227 x 227 pixels with 16 of context. Fine-tuning takes 16 images of 2 positive
and 6 background windows a step where the paper draws 32 and 96 from the whole data set; the new layer learns ten times
as fast as the others, biases do not decay. Then one SVM a class on fc7 with hard negatives, one box regressor a class
on pool5.

Published: 58.5 mAP; 54.2 without box regression (--config.linear.bbox_regression=False), and so with the softmax in
the SVMs' place 50.9 (evaluate.py --config=configs/rcnn_voc.py --config.model.scoring=softmax). VGG16: 66.0
(--config.net.backbone=vgg16, whose weights are downloaded). No score of this config has been measured yet.

CaffeNet's weights are not to be downloaded in a readable layout: convert Caffe's file to a .pth with the names conv1 to
fc7 and name it in training.pretrained_file. fc7 of 2,000 windows takes 33 MB of disk an image (stages/2_features),
164 GB for VOC2007 trainval.

    python train.py --config=configs/rcnn_voc.py --config.training.pretrained_file=caffenet.pth
"""

from ml_collections import ConfigDict

from configs import fast_voc


def get_config() -> ConfigDict:
    config = fast_voc.get_config()
    config.name = "rcnn_voc"
    config.system = "rcnn"

    # VOC's photos as they are: their longest side is 500 pixels. The windows are mirrored, not the images.
    config.input.short_side = 500
    config.input.long_side = 500
    config.input.flip = False

    config.net.backbone = "alexnet"

    config.model = ConfigDict()
    config.model.roi_targets = ConfigDict()
    config.model.roi_targets.positive_iou = 0.5
    config.model.roi_targets.negative_iou = (0.0, 0.5)
    config.model.roi_targets.batch_size = 8
    config.model.roi_targets.positive_fraction = 0.25
    config.model.roi_targets.add_ground_truth = True
    config.model.context = 16
    config.model.chunk = 64  # windows of an image that go through the net at a time
    config.model.scoring = "svm"
    config.model.detections = ConfigDict({"score_threshold": -1e6, "nms_iou": 0.3, "max_detections": 2000})

    config.linear = ConfigDict({"bbox_regression": True})

    config.optim.boundaries = (20_000, 40_000, 60_000)
    config.optim.classifier_learning_rate_factor = 10.0
    config.training.steps = 70_000
    config.training.batch_size = 16
    config.training.frozen = ()
    return config
