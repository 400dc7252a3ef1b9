"""R-CNN on your own photos (a folder in VOC layout): Selective Search, a narrow AlexNet from random weights, SVMs.

Photos are resized to a longest side of 500 pixels. Their proposals are those of fast_devkit.py, from the same file. The
features on disk take 2 MB for a photo of 2,000 boxes and 9 kB for each box near an object. The scores are SVM margins.

    python train.py --config=configs/rcnn_devkit.py --config.dataset.devkit=path/to/folder
"""

from ml_collections import ConfigDict

from configs import fast_devkit, rcnn_voc


def get_config() -> ConfigDict:
    config = fast_devkit.get_config()
    config.name = "rcnn_devkit"
    config.system = "rcnn"

    voc = rcnn_voc.get_config()
    config.model = voc.model
    config.linear = voc.linear
    config.evaluation.detections_per_class = voc.evaluation.detections_per_class
    config.net.backbone = "alexnet"
    config.input.short_side = voc.input.short_side
    config.input.long_side = voc.input.long_side
    config.input.flip = False

    config.training.batch_size = 16
    config.training.steps = 2_000
    config.training.eval_every = 0  # scoring all windows of all photos takes long; evaluate.py does it in the end
    return config
