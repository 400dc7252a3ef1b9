"""Translation of an experiment.json of an earlier format."""

from pathlib import Path
from typing import Any

from jaxdet.checks import InputError

FORMAT = 2

# Fields that format 2 got later, with the value that runs of before had.
LATER_FIELDS = {
    "input": {"drop_empty": False},
    "net": {"dropout_scaling": "train"},
    "stages": {"mirrored_proposals": False},
    "head": {"box_weight": 1.0, "detections": {"pre_nms_per_class": 0}},
    "evaluation": {"match_at_threshold": False},
}
LATER_FIELDS_OF_RCNN = LATER_FIELDS | {"head": {"detections": {"pre_nms_per_class": 100}}}

# Format 1 -> format 2: the section `model` became `rpn` and `head`.
TO_RPN = {
    "rpn_targets": "targets",
    "train_proposals": "train_proposals",
    "test_proposals": "test_proposals",
    "min_proposal_size": "min_size",
    "rpn_sigma": "sigma",
    "rpn_box_weight": "box_weight",
    "rpn_box_normaliser": "box_normaliser",
    "cross_boundary_anchors": "cross_boundary_anchors",
    "max_log_scale": "max_log_scale",
}
TO_HEAD = {
    "roi_targets": "roi_targets",
    "detections": "detections",
    "roi_sigma": "sigma",
    "roi_pooling": "roi_pooling",
    "max_log_scale": "max_log_scale",
    "delta_std": "delta_std",
    "context": "context",
    "chunk": "chunk",
    "scoring": "scoring",
}


def check_format(stored: dict[str, Any], path: Path) -> None:
    """Raise InputError for the content of a file that a later version wrote."""
    number = stored.get("format", 1)
    if number not in (1, FORMAT):
        raise InputError(
            f"{path} must have format 1 or {FORMAT}, got {number}, which a later version wrote; use that version."
        )


def translate(stored: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the content of experiment.json, whose format is known, in the present format.

    Format 1 has no format number. Its nets were initialised as "looks_linear". A field that is newer than the file gets
    the value that all runs had before.

    Raises:
      InputError: format 1 with an option that is gone.
      KeyError, TypeError, AttributeError: it is not the content of an experiment.json.
    """
    config = stored["config"] if stored.get("format", 1) == FORMAT else _from_format_1(stored["config"], path)
    later = LATER_FIELDS_OF_RCNN if config.get("system") == "rcnn" else LATER_FIELDS
    return {"format": FORMAT} | stored | {"config": _with_missing(config, later)}


def _from_format_1(config: dict[str, Any], path: Path) -> dict[str, Any]:
    model, net, optim = dict(config["model"]), dict(config["net"]), dict(config["optim"])
    model["roi_targets"] = dict(model["roi_targets"])
    _remove(model["roi_targets"], "add_ground_truth", True, f"{path}: model.roi_targets")
    _remove(optim, "clip_norm", None, f"{path}: optim")

    net["preprocessing"], net["pool_rounding"] = net.pop("normalisation"), net.pop("pooling")
    net["init"] = "looks_linear"
    optim.setdefault("classifier_learning_rate_factor", 1.0)
    optim["reference_fan_in"] = 2 if optim.pop("rate_by_fan_in", False) else 0  # the rate was times sqrt(2 / fan-in)

    translated = {name: section for name, section in config.items() if name != "model"}
    translated |= {"net": net, "optim": optim, "head": _renamed(model, TO_HEAD)}
    if config["system"] == "faster_rcnn":
        translated["rpn"] = _renamed(model, TO_RPN)
    return translated


def _with_missing(config: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return a config with the fields that it lacks, in the sections that it has."""
    merged = dict(config)
    for name, value in fields.items():
        if not isinstance(value, dict):
            merged.setdefault(name, value)
        elif name in config:
            merged[name] = _with_missing(config[name], value)
    return merged


def _renamed(section: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {name: section[old] for old, name in names.items() if old in section}


def _remove(section: dict[str, Any], name: str, value: Any, where: str) -> None:
    """Remove an option that is gone; InputError where it was set to anything but its only value today."""
    if section.pop(name, value) != value:
        raise InputError(f"{where}.{name} must be {value}, which is all that is left of this option; train again.")
