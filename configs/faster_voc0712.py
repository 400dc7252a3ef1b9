"""Faster R-CNN, VGG16, VOC 2007 + 2012 trainval -> 2007 test: faster_voc.py on three times the images.

16,551 images; the rate falls after 80,000 steps and training ends after 110,000, the numbers of tf-faster-rcnn for this
set. Its step is one image and this one's is two: twice as many images. Images with nothing but difficult objects are
left out; they were not counted. For the authors' own lengths see faster_voc0712_alternating.py.

Published for VGG16 on it: 73.2 mAP (4-step training, the authors), 74.7 (chainercv), 75.7 (tf-faster-rcnn, the best of
two or three runs). No score of this config has been measured yet.

    python train.py --config=configs/faster_voc0712.py
"""

from ml_collections import ConfigDict

from configs import faster_voc


def get_config() -> ConfigDict:
    config = faster_voc.get_config()
    config.name = "faster_voc0712"
    config.splits.train = "2007/trainval+2012/trainval"
    config.optim.boundaries = (80_000,)
    config.training.steps = 110_000
    return config
