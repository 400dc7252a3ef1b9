"""The field that a user means by a name that the config does not have."""

import difflib
from collections.abc import Collection

THRESHOLDS = ("conf", "conf_thres", "confidence", "score_thresh", "score_thr", "threshold", "box_score_thresh")
# Names in other projects -> the field here, or the fields of which a config has one; by lower case.
OTHER_NAMES = {
    **dict.fromkeys(("lr", "lr0", "base_lr", "init_lr", "learningrate", "rate"), "optim.learning_rate"),
    **dict.fromkeys(("lrf", "min_lr", "eta_min"), "optim.final_learning_rate"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule", "cos_lr"), "optim.schedule"),
    **dict.fromkeys(("milestones", "lr_steps"), "optim.boundaries stages.fast_rcnn.boundaries stages.rpn.boundaries"),
    **dict.fromkeys(("gamma", "lr_gamma"), "optim.decay"),
    **dict.fromkeys(("warmup", "warmup_iters", "warmup_epochs"), "optim.warmup_steps"),
    **dict.fromkeys(("wd", "decay_rate", "l2"), "optim.weight_decay"),
    **dict.fromkeys(("optimizer", "optimiser", "opt", "sgd", "adam", "adamw"), "optim.name"),
    **dict.fromkeys(("epoch", "num_epochs", "max_epochs", "n_epochs"), "training.epochs"),
    "epochs": "training.epochs stages.fast_rcnn.steps stages.rpn.steps",
    **dict.fromkeys(
        ("iterations", "iters", "max_iter", "max_iters", "max_steps", "num_steps"),
        "training.steps stages.fast_rcnn.steps stages.rpn.steps",
    ),
    **dict.fromkeys(
        ("batch", "batch_size", "batchsize", "bs", "ims_per_batch", "images_per_batch"),
        "training.batch_size stages.fast_rcnn.batch_size stages.rpn.batch_size",
    ),
    **dict.fromkeys(("early_stopping", "early_stop"), "training.patience"),
    **dict.fromkeys(("freeze", "freeze_at", "trainable_layers"), "training.frozen"),
    **dict.fromkeys(("weights", "checkpoint", "resume_from", "finetune"), "training.init_from"),
    **dict.fromkeys(("save_period", "save_every", "checkpoint_period"), "training.checkpoint_every"),
    **dict.fromkeys(("val_every", "eval_period", "val_interval"), "training.eval_every"),
    **dict.fromkeys(("log_interval", "print_freq", "log_period"), "training.log_every"),
    **dict.fromkeys(("time", "max_time", "hours"), "training.max_hours"),
    **dict.fromkeys(("imgsz", "img_size", "image_size", "img", "size", "min_size", "resolution"), "input.short_side"),
    **dict.fromkeys(("max_size", "max_side"), "input.long_side"),
    **dict.fromkeys(("fliplr", "hflip", "horizontal_flip", "random_flip"), "input.flip"),
    **dict.fromkeys(("num_workers", "threads"), "input.workers"),
    **dict.fromkeys(("max_boxes", "max_objects"), "input.max_gt"),
    **dict.fromkeys(THRESHOLDS, "head.detections.score_threshold"),
    **dict.fromkeys(("iou", "iou_thres", "nms", "nms_thresh", "nms_threshold"), "head.detections.nms_iou"),
    **dict.fromkeys(("max_det", "detections_per_img", "topk"), "head.detections.max_detections"),
    **dict.fromkeys(("anchor_sizes", "anchor_scales"), "anchors.scales anchors.sizes"),
    **dict.fromkeys(("aspect_ratios", "anchor_ratios"), "anchors.ratios"),
    **dict.fromkeys(
        ("arch", "model", "resnet", "resnet18", "resnet50", "resnet101", "vgg", "vgg16", "zf", "alexnet"),
        "net.backbone",
    ),
    **dict.fromkeys(("amp", "half", "fp16", "bf16", "bfloat16", "dtype", "precision"), "net.compute_dtype"),
    **dict.fromkeys(("normalization", "mean", "std"), "net.preprocessing"),
    **dict.fromkeys(("data", "data_root", "dataset_path", "root"), "dataset.devkit dataset.data_dir"),
    **dict.fromkeys(("classes", "class", "labels"), "dataset.class_names"),
}
NEAR = 0.7  # of 1, least similarity of names that a misspelling has in common


def suggest(path: str, fields: Collection[str]) -> str:
    """Return the cure of an unknown field: the fields of the config that its name stands for.

    Args:
      path: the unknown field, as in "optim.lr" or "lr".
      fields: all fields of the config, as in "optim.learning_rate".
    """
    section, _, name = path.rpartition(".")
    name = name.lower().replace("-", "_")
    meant = [field for field in OTHER_NAMES.get(name, "").split() if field in fields]
    same_name = [field for field in fields if field.rpartition(".")[2] == name]
    siblings = [field.rpartition(".")[2] for field in fields if section and field.rpartition(".")[0] == section]
    near = difflib.get_close_matches(name, siblings, n=1, cutoff=0.4)
    if not section and meant:
        return _did_you_mean(meant)
    if same_name:
        return _did_you_mean([field for field in same_name if field in meant] or same_name)
    if near:
        return _did_you_mean([f"{section}.{near[0]}"])
    meant = meant or _nearest_paths(path, name, fields)
    return _did_you_mean(meant) if meant else "`jaxdet train --help` lists all fields."


def _did_you_mean(fields: list[str]) -> str:
    return f"did you mean {' or '.join(map(repr, fields))}?"


def _nearest_paths(path: str, name: str, fields: Collection[str]) -> list[str]:
    """Return the section or field whose whole path or last name is most like the unknown one; [] for none."""
    sections = {field[:end] for field in fields for end, letter in enumerate(field) if letter == "."}

    def likeness(field: str) -> tuple[float, float]:
        whole = _ratio(path, field)
        return max(whole, _ratio(name, field.rpartition(".")[2])), whole

    nearest = max(sorted({*fields, *sections}), key=likeness, default="")
    return [nearest] if likeness(nearest)[0] >= NEAR else []


def _ratio(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio()
