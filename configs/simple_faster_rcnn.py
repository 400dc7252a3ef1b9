"""Faster R-CNN, VGG16, VOC 2007, as simple-faster-rcnn-pytorch has it: to evaluate its checkpoints or train its way.

It differs from py-faster-rcnn's (faster_voc.py) in unrounded anchors, no dropout, one image per step, no decay of
biases, 14 epochs with a drop of the rate after ten (`if epoch == 9` is reached when that epoch is over), and no limit
on detections above 0.05. At the drop that project goes back to its best checkpoint so far, chosen on the test set; this
config does not. Its authors report 70.0 to 71.2 mAP with Caffe's weights and 68.5 to 70.1 with torchvision's.

    python convert.py --config=configs/simple_faster_rcnn.py --file=checkpoint.pth --workdir=runs/simple
    python evaluate.py --workdir=runs/simple
"""

from ml_collections import ConfigDict

from configs import faster_voc

EPOCH = 5_011  # images of VOC2007 trainval


def get_config() -> ConfigDict:
    config = faster_voc.get_config()
    config.name = "simple_faster_rcnn"
    config.training.pretrained = "torchvision"
    config.net.dropout = 0.0
    config.anchors.convention = "simple_faster_rcnn"
    config.head.detections.max_detections = 1000  # no limit there
    config.head.inclusive_boxes = True  # there 1 is taken off all four corners of an annotation

    config.optim.boundaries = (10 * EPOCH,)
    config.optim.decay_biases = False
    config.training.steps = 14 * EPOCH
    config.training.batch_size = 1
    config.training.accumulate = 1
    config.evaluation.batch_size = 1
    return config
