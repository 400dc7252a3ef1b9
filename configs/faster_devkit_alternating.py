"""Faster R-CNN on your own photos (see docs/own-data.md) by 4-step training.

As faster_devkit.py, but in four stages: 10,000 steps in all, the region proposal network and Fast R-CNN in turn. Each
stage has its folder in WORKDIR/stages; a stopped training resumes in its stage. Set their lengths with stages.rpn.steps
and stages.fast_rcnn.steps; each is used by two stages.

    python train.py --config=configs/faster_devkit_alternating.py --config.dataset.devkit=path/to/folder
"""

from ml_collections import ConfigDict

from configs import faster_devkit


def get_config() -> ConfigDict:
    config = faster_devkit.get_config()
    config.name = "faster_devkit_alternating"
    config.head.roi_targets.batch_size = 64

    # Steps, batch sizes and boundaries belong to the two kinds of stages, not to training and optim.
    config.stages = ConfigDict()
    config.stages.rpn = ConfigDict({"steps": 2_500, "batch_size": 2, "boundaries": ()})
    config.stages.fast_rcnn = ConfigDict({"steps": 2_500, "batch_size": 2, "boundaries": ()})
    config.stages.mirrored_proposals = False  # an image's boxes are mirrored with it

    config.optim = ConfigDict()
    config.optim.name = "adamw"
    config.optim.learning_rate = 5e-4
    config.optim.schedule = "cosine"
    config.optim.decay = 0.1  # of "step"
    config.optim.final_learning_rate = 0.0
    config.optim.warmup_steps = 100
    config.optim.momentum = 0.9
    config.optim.weight_decay = 1e-4
    config.optim.decay_biases = False
    config.optim.bias_learning_rate_factor = 1.0
    config.optim.reference_fan_in = 0

    config.training = ConfigDict()
    config.training.accumulate = 1
    config.training.frozen = ()
    config.training.pretrained = ""
    config.training.pretrained_file = ""
    config.training.init_from = ""
    config.training.log_every = 20
    config.training.eval_every = 500
    config.training.checkpoint_every = 250
    config.training.keep = 2
    config.training.profile = (0, 0)  # first and last step traced into WORKDIR/profile; (0, 0): none
    config.training.reference_batch_size = 0  # the batch size that rates and steps are for; 0: they are not scaled
    return config
