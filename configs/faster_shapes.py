"""Faster R-CNN on generated pictures of shapes, from scratch on a CPU: the quick start.

A quarter of VGG16's channels at 192 x 192 pixels. `make demo` took 3:24 in all on two CPU cores in a fast hour, with
nothing compiled before; an hour can be three times as slow. mAP@0.5 (VOC10) was 0.894 on the 200 test pictures and
0.902 on the 100 validation pictures with seed 0, 0.906 and 0.912 with seed 1.

    python train.py --config=configs/faster_shapes.py
    python evaluate.py --workdir=runs/faster_shapes
"""

from ml_collections import ConfigDict

from configs import faster_devkit


def get_config() -> ConfigDict:
    config = faster_devkit.get_config()  # the narrow net and AdamW of training from scratch
    config.name = "faster_shapes"

    config.dataset = ConfigDict({"kind": "shapes", "data_dir": "data", "image_size": 192})
    config.dataset.update({"train": 1600, "validation": 100, "test": 200, "seed": 1})
    config.splits = ConfigDict({"train": "train", "validation": "validation", "test": "test"})
    config.input.short_side = 192
    config.input.long_side = 192
    config.input.max_gt = 8
    config.input.workers = 2

    config.net.head_features = 128

    # Sides of about 24, 40 and 72 pixels for objects of 19 to 81.
    config.anchors.scales = (1.5, 2.5, 4.5)
    config.model.train_proposals = ConfigDict({"pre_nms_top_n": 1000, "post_nms_top_n": 300, "nms_iou": 0.7})
    config.model.test_proposals = ConfigDict({"pre_nms_top_n": 1000, "post_nms_top_n": 100, "nms_iou": 0.7})
    config.model.min_proposal_size = 8.0
    config.model.roi_targets.batch_size = 64
    config.model.roi_targets.positive_fraction = 0.5
    config.model.detections.nms_iou = 0.5  # shapes of one class may overlap

    config.optim.learning_rate = 0.02  # of He's standard deviation of each kernel
    config.optim.rate_by_fan_in = True
    config.optim.bias_learning_rate_factor = 0.07  # 1.4e-3
    config.optim.warmup_steps = 100

    config.training.steps = 2_200
    config.training.log_every = 50
    config.training.eval_every = 1_100
    config.training.checkpoint_every = 500

    config.evaluation.batch_size = 4
    return config
