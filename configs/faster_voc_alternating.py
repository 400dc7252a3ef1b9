"""Faster R-CNN, VGG16, PASCAL VOC 2007 trainval -> test, by 4-step training as py-faster-rcnn has it (alt-opt).

Step 1: region proposal network, 80,000 steps of one image. Step 2: Fast R-CNN on its proposals, 40,000 steps of two
images with 64 RoIs each. Step 3: the RPN's own layers again, from random values, on Fast R-CNN's convolutions. Step 4:
Fast R-CNN's own layers again. The rate is 0.001, a tenth of it after 60,000 and 30,000 steps. The result is one
detector, as in joint training. The comments give the names of tools/train_faster_rcnn_alt_opt.py, its cfgs, solvers and
prototxts. The authors' own code (MATLAB) differs in four points: see the 4-step training in docs/differences.md.

Published, with that code: 69.9 mAP; 59.9 with ZF-Net (--config.net.backbone=zf --config.training.frozen="()" and its
weights in training.pretrained_file, see faster_zf_voc.py). No score of this config has been measured yet.

    python train.py --config=configs/faster_voc_alternating.py
"""

from ml_collections import ConfigDict

from configs import faster_voc


def get_config() -> ConfigDict:
    config = faster_voc.get_config()
    config.name = "faster_voc_alternating"

    # What the RPN proposes to Fast R-CNN: the best 2,000 after NMS over all anchors.
    config.rpn.train_proposals.pre_nms_top_n = 1_000_000  # RPN_PRE_NMS_TOP_N -1: more anchors than any image has
    config.head.roi_targets.batch_size = 64  # BATCH_SIZE 128 over IMS_PER_BATCH 2

    # Steps, batch sizes and boundaries belong to the two kinds of stages, not to training and optim.
    config.stages = ConfigDict()
    config.stages.rpn = ConfigDict({"steps": 80_000, "batch_size": 1, "boundaries": (60_000,)})
    config.stages.fast_rcnn = ConfigDict({"steps": 40_000, "batch_size": 2, "boundaries": (30_000,)})
    config.stages.mirrored_proposals = False  # True: as the MATLAB code

    config.optim = ConfigDict()
    config.optim.name = "sgd"
    config.optim.learning_rate = 1e-3  # base_lr
    config.optim.schedule = "step"  # lr_policy
    config.optim.decay = 0.1  # gamma
    config.optim.final_learning_rate = 0.0  # of "cosine"
    config.optim.warmup_steps = 0
    config.optim.momentum = 0.9
    config.optim.weight_decay = 5e-4
    config.optim.decay_biases = True  # no decay_mult on biases
    config.optim.bias_learning_rate_factor = 2.0  # lr_mult

    config.training = ConfigDict()
    config.training.accumulate = 1
    config.training.frozen = ("conv1_", "conv2_")
    config.training.pretrained = "caffe"
    config.training.pretrained_file = ""
    config.training.init_from = ""
    config.training.log_every = 20
    config.training.eval_every = 0
    config.training.checkpoint_every = 2_000
    config.training.keep = 2
    config.training.profile = (0, 0)  # first and last step traced into WORKDIR/profile; (0, 0): none
    config.training.reference_batch_size = 0  # the batch size that rates and steps are for; 0: they are not scaled
    return config
