"""Faster R-CNN on your own photos, fine-tuned from torchvision's COCO detector (ResNet-50 with a feature pyramid).

    python train.py --config=configs/faster_resnet50_fpn_devkit.py --config.dataset.devkit=path/to/folder

The classes are those found in the annotations; cls_score and bbox_pred start from random values, all else from COCO.
conv1, layer1 and the batch norms are not trained. The rate is torchvision's reference, 0.02 for 16 images, scaled to
two images per step. 2,000 steps are 20 epochs of 200 photos; a GPU is advised. No score of it has been measured.

The COCO detector (about 168 MB) is downloaded once. For photos much smaller than 800 pixels, lower input.short_side and
long_side to the photos' short and long side, which is faster.
"""

from ml_collections import ConfigDict

from configs import coco_resnet50_fpn


def get_config() -> ConfigDict:
    config = coco_resnet50_fpn.get_config()
    config.name = "faster_resnet50_fpn_devkit"
    config.training.pretrained = "coco"

    config.optim.learning_rate = 0.0025
    config.optim.boundaries = (1_500,)
    config.optim.warmup_steps = 200

    config.training.steps = 2_000
    config.training.batch_size = 2
    config.training.eval_every = 500
    config.training.checkpoint_every = 250
    return config
