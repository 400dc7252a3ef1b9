"""Faster R-CNN on your own photos (a folder in VOC layout) by the paper's 4-step training.

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
