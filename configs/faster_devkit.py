"""Faster R-CNN on your own photos: a folder in VOC layout (Annotations/, JPEGImages/, ImageSets/Main/<split>.txt).

Trains a quarter of VGG16's channels from random weights, which a CPU can bear; `init_from` starts from another run.

    python train.py --config=configs/faster_devkit.py --config.dataset.devkit=path/to/folder

README has a result on 205 photos of blood cells.

Classes are those found in the annotations. Photos much smaller than 600 pixels: lower input.short_side and long_side to
their size, which is as good and faster. Objects of other sizes than 32 to 512 pixels (after resizing): change
anchors.scales, in units of 16 pixels.
"""

from ml_collections import ConfigDict

from configs import faster_voc


def get_config() -> ConfigDict:
    config = faster_voc.get_config()
    config.name = "faster_devkit"
    config.seed = 0

    # The splits are files of ImageSets/Main.
    config.dataset = ConfigDict({"kind": "devkit", "devkit": "", "data_dir": "data"})
    config.dataset.class_names = ()  # empty: those found in the annotations, in alphabetical order
    config.dataset.max_pixels = 50_000_000  # larger images are left out before they are decoded
    config.splits = ConfigDict({"train": "train", "validation": "val", "test": "test"})

    config.net.width = 0.25
    config.net.head_features = 256
    config.net.dropout = 0.0

    config.anchors.scales = (2.0, 4.0, 8.0, 16.0, 32.0)
    config.model.train_proposals = ConfigDict({"pre_nms_top_n": 2000, "post_nms_top_n": 1000, "nms_iou": 0.7})
    config.model.test_proposals = ConfigDict({"pre_nms_top_n": 1000, "post_nms_top_n": 300, "nms_iou": 0.7})
    config.model.min_proposal_size = 4.0
    config.model.roi_pooling = "align"

    config.optim.name = "adamw"
    config.optim.learning_rate = 5e-4
    config.optim.schedule = "cosine"
    config.optim.boundaries = ()
    config.optim.warmup_steps = 100
    config.optim.weight_decay = 1e-4
    config.optim.decay_biases = False
    config.optim.bias_learning_rate_factor = 1.0
    config.optim.rate_by_fan_in = False

    config.training.steps = 5_000
    config.training.batch_size = 2
    config.training.accumulate = 1
    config.training.frozen = ()
    config.training.pretrained = ""
    config.training.eval_every = 500
    config.training.checkpoint_every = 250
    return config
