"""Fast R-CNN on your own photos (a folder in VOC layout), on Selective Search's proposals.

As faster_devkit.py, but for the proposals: those are searched first, once, which takes 2 to 3 seconds of a core for
each photo at proposals.width 500, and the longer the larger that is. They lie in DATA_DIR/proposals.

    python train.py --config=configs/fast_devkit.py --config.dataset.devkit=path/to/folder
"""

from ml_collections import ConfigDict

from configs import fast_voc, faster_devkit


def get_config() -> ConfigDict:
    config = faster_devkit.get_config()
    config.name = "fast_devkit"
    config.system = "fast_rcnn"
    del config.anchors

    voc = fast_voc.get_config()
    config.proposals = voc.proposals
    config.model = voc.model
    config.model.roi_targets.negative_iou = (0.0, 0.5)
    config.model.roi_pooling = "align"
    config.model.detections = faster_devkit.get_config().model.detections
    return config
