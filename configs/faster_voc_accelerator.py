"""Faster R-CNN, VGG16, VOC 2007 trainval -> test, on a TPU or a large GPU: faster_voc.py with more images per step.

Eight images per step and device, computed at once, in bfloat16. The numbers are faster_voc.py's, which are meant for
two images; training.reference_batch_size scales them to the batch (Goyal et al. 2017: rates in proportion, as many
images in all), after 500 steps of warm-up:

| devices | training.batch_size | learning rate | steps | drops after |
|---|---|---|---|---|
| 1 | 8 | 0.004 | 17,500 | 12,500 |
| 8 | 64 | 0.032 | 2,188 | 1,562 |

No score of this config has been measured, nor its speed. The rule is known to hold for ImageNet's classification; for
this recipe it is not known up to which batch it does.

    python train.py --config=configs/faster_voc_accelerator.py

On eight devices add --config.training.batch_size=64 --config.evaluation.batch_size=64.
"""

from ml_collections import ConfigDict

from configs import faster_voc


def get_config() -> ConfigDict:
    config = faster_voc.get_config()
    config.name = "faster_voc_accelerator"
    config.net.compute_dtype = "bfloat16"
    config.optim.warmup_steps = 500  # not scaled
    config.training.batch_size = 8
    config.training.accumulate = 1
    config.training.reference_batch_size = 2
    config.evaluation.batch_size = 8
    return config
