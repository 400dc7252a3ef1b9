"""Faster R-CNN on your own photos (a folder in VOC layout) by the paper's 4-step training.

As faster_devkit.py, but for the stages: 10,000 steps in all, those of the region proposal network and of Fast R-CNN in
turn. Each has its folder in WORKDIR/stages; a stopped training goes on in its stage. Lengths: stages.rpn.steps and
stages.fast_rcnn.steps, twice each.

    python train.py --config=configs/faster_devkit_alternating.py --config.dataset.devkit=path/to/folder
"""

from ml_collections import ConfigDict

from configs import faster_devkit


def get_config() -> ConfigDict:
    config = faster_devkit.get_config()
    config.name = "faster_devkit_alternating"

    config.stages = ConfigDict()
    config.stages.rpn = ConfigDict({"steps": 2_500, "batch_size": 2, "boundaries": ()})
    config.stages.fast_rcnn = ConfigDict({"steps": 2_500, "batch_size": 2, "boundaries": ()})
    del config.training.steps
    del config.training.batch_size
    del config.optim.boundaries
    config.model.roi_targets.batch_size = 64
    return config
