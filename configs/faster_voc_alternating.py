"""Faster R-CNN, VGG16, PASCAL VOC 2007 trainval -> test, by the paper's 4-step training (py-faster-rcnn's alt-opt).

1 region proposal network, 80,000 steps of one image; 2 Fast R-CNN on its proposals, 40,000 steps of two images with 64
RoIs each; 3 the RPN's own layers again, on Fast R-CNN's convolutions; 4 Fast R-CNN's own layers again. 0.001, a tenth
of it after 60,000 and 30,000 steps. The result is one detector like that of joint training.

Published: 69.9 mAP; 59.9 with ZF-Net (--config.net.backbone=zf --config.training.frozen="()" and its weights in
training.pretrained_file, see faster_zf_voc.py). No score of this config has been measured yet.

    python train.py --config=configs/faster_voc_alternating.py
"""

from ml_collections import ConfigDict

from configs import faster_voc


def get_config() -> ConfigDict:
    config = faster_voc.get_config()
    config.name = "faster_voc_alternating"

    # Lengths of the two kinds of stages, which joint training has in training and optim.
    config.stages = ConfigDict()
    config.stages.rpn = ConfigDict({"steps": 80_000, "batch_size": 1, "boundaries": (60_000,)})
    config.stages.fast_rcnn = ConfigDict({"steps": 40_000, "batch_size": 2, "boundaries": (30_000,)})
    del config.training.steps
    del config.training.batch_size
    del config.optim.boundaries
    config.training.accumulate = 1

    # What the RPN hands over: the best 2,000 after a suppression among all.
    config.model.train_proposals = ConfigDict({"pre_nms_top_n": 1_000_000, "post_nms_top_n": 2000, "nms_iou": 0.7})
    config.model.roi_targets.batch_size = 64
    return config
