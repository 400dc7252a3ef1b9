"""R-CNN on your own photos (see docs/own-data.md): Selective Search, a narrow AlexNet from random weights, SVMs.

Photos are resized to a longest side of 500 pixels. Their proposals are those of fast_devkit.py, from the same file. The
features on disk take 2 MB per photo of 2,000 boxes and 9 kB per box near an object. The scores are SVM margins.

    python train.py --config=configs/rcnn_devkit.py --config.dataset.devkit=path/to/folder
"""

from ml_collections import ConfigDict

from configs import fast_devkit


def get_config() -> ConfigDict:
    config = fast_devkit.get_config()
    config.name = "rcnn_devkit"
    config.system = "rcnn"

    # The windows are mirrored, not the images.
    config.input.short_side = 500
    config.input.long_side = 500
    config.input.flip = False

    config.net.backbone = "alexnet"

    config.head = ConfigDict()
    config.head.roi_targets = ConfigDict()
    config.head.roi_targets.positive_iou = 0.5
    config.head.roi_targets.negative_iou = (0.0, 0.5)
    config.head.roi_targets.batch_size = 8
    config.head.roi_targets.positive_fraction = 0.25
    config.head.detections = ConfigDict({"score_threshold": -1e6, "nms_iou": 0.3})  # below every margin
    config.head.detections.pre_nms_per_class = 100
    config.head.detections.max_detections = 2000  # of up to 20 classes: no limit
    config.head.context = 16
    config.head.chunk = 64  # windows per image that pass the net at a time
    config.head.scoring = "svm"
    config.head.sampling = "per_image"

    config.linear = ConfigDict({"bbox_regression": True})

    config.training.batch_size = 16
    config.training.steps = 2_000
    config.training.eval_every = 0  # scoring all windows of all photos takes long; evaluate.py does it in the end
    config.evaluation.detections_per_class = 40
    return config
