"""Faster R-CNN, ZF-Net, VOC 2007 trainval -> test: py-faster-rcnn's end-to-end recipe for the small net.

Its solver has the numbers of faster_voc.py. The net differs: five convolutions, none of them frozen, an RPN of 256
channels, 6x6 cells per region, and dropout that scales in detection (`scale_train: false`): net.dropout_scaling becomes
"test" with these weights. ImageNet's ZF-Net is published only as a Caffe model: convert it to a state dict
(conv1.weight to fc7.bias) and give that file.

Published for this net: 59.9 mAP with 4-step training (five runs: mean 59.88, deviation 0.39;
faster_voc_alternating.py). No score of this config has been measured yet.

    python train.py --config=configs/faster_zf_voc.py --config.training.pretrained_file=zf.pth
"""

from ml_collections import ConfigDict

from configs import faster_voc


def get_config() -> ConfigDict:
    config = faster_voc.get_config()
    config.name = "faster_zf_voc"
    config.net.backbone = "zf"
    config.training.frozen = ()
    return config
