"""Faster R-CNN, VGG16, VOC 2007 + 2012 trainval -> 2007 test, by 4-step training: the authors' lengths for this set.

faster_voc_alternating.py on three times the images, with 60,000 steps of Fast R-CNN instead of 40,000; the RPN's 80,000
and the drops after 60,000 and 30,000 stay. These numbers are the names of the solvers (solver_60k80k, solver_30k60k)
that VGG16_for_Faster_RCNN_VOC0712.m of faster_rcnn (MATLAB) takes; the solvers themselves were not read. The other
numbers are py-faster-rcnn's for VOC 2007: docs/differences.md lists where the MATLAB code differs.

Published by the authors: 73.2 mAP. No score of this config has been measured yet.

    python train.py --config=configs/faster_voc0712_alternating.py
"""

from ml_collections import ConfigDict

from configs import faster_voc_alternating


def get_config() -> ConfigDict:
    config = faster_voc_alternating.get_config()
    config.name = "faster_voc0712_alternating"
    config.splits.train = "2007/trainval+2012/trainval"
    config.stages.fast_rcnn.steps = 60_000
    return config
