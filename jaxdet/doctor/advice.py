"""Flags worth setting for the objects of a data set: input size, anchors and NMS threshold."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdet.config.schema import Experiment, FasterRcnn, FasterRcnnAlternating, FasterRcnnFpn, Rcnn
from jaxdet.data.buckets import MULTIPLE
from jaxdet.doctor.finding import Finding, Severity
from jaxdet.doctor.objects import (
    IN_RANGE,
    ResizedObjects,
    WithAnchors,
    anchor_ious,
    cell_side,
    neighbour_ious,
    resized_objects,
)
from jaxdet.evaluation.tables import GroundTruthTable
from jaxdet.nets.region_net import STRIDE

TOPIC = "advice"
FEWEST = 20  # objects to judge by
SMALL = {False: 2, True: 4}  # cells that an object should span, without and with a feature pyramid
ENLARGED = 1.1  # factor from which enlarging photos costs enough to say so
LARGEST_FACTOR = 2.0  # of the input's short side that is advised for small objects
TAILS = (0.02, 0.98)  # quantiles: single odd objects do not set the scales
BETTER = 0.05  # share of the objects that other anchors must bring into range
PER_SCALE = 0.01  # share that another scale must bring, as it makes more anchors
OVERLAPPING = 0.01  # share of the objects that NMS would remove
NMS_IOU = 0.5


def advise(truth: GroundTruthTable, image_sizes: np.ndarray, experiment: Experiment) -> list[Finding]:
    """Return the flags that a training gains from, each with its reason; they are meant to be set together.

    Args:
      truth, image_sizes: the training split's objects and i[N,2] original (height, width).
    """
    if (~truth.difficult | experiment.input.use_difficult).sum() < FEWEST:
        return []
    use_difficult = experiment.input.use_difficult
    sides = {"short_side": experiment.input.short_side, "long_side": experiment.input.long_side}
    objects = resized_objects(truth, image_sizes, **sides, use_difficult=use_difficult)
    findings, objects_by_size = [], [objects]
    if size := advise_sides(objects, image_sizes, experiment):
        finding, sides = size
        findings.append(finding)
        advised = dataclasses.replace(experiment.input, short_side=sides["short_side"], long_side=sides["long_side"])
        experiment = dataclasses.replace(experiment, input=advised)
        objects = resized_objects(truth, image_sizes, **sides, use_difficult=use_difficult)
        objects_by_size.append(objects)
    if isinstance(experiment, WithAnchors):
        for resized in objects_by_size:  # the config's size first: the advised one may cost too much
            if crossing := advise_crossing(resized, experiment):
                finding, experiment = crossing
                findings.append(finding)
                break
        starts_from_detector = experiment.training.init_from or experiment.training.pretrained == "coco"
        if not starts_from_detector:  # it was trained with its anchors
            findings += advise_anchors(objects, experiment)
    if nms := advise_nms(objects, experiment):
        findings.append(nms)
    return findings


def advise_sides(
    objects: ResizedObjects, image_sizes: np.ndarray, experiment: Experiment
) -> tuple[Finding, dict[str, int]] | None:
    """Return another input size and why; None where nothing is gained.

    Photos smaller than the input are not enlarged, unless their objects would be small. Photos that lose their small
    objects by being reduced are reduced less.
    """
    if isinstance(experiment, Rcnn):  # its windows are warped to one size
        return None
    now = experiment.input.short_side
    shorter, longer = image_sizes.min(1), image_sizes.max(1)
    native = float(np.median(shorter))
    wanted = SMALL[isinstance(experiment, FasterRcnnFpn)] * cell_side(experiment)
    small = float(np.quantile(objects.sizes, 0.05))
    enlarging = float(np.median(np.sqrt(objects.image_sizes.prod(1)) / np.sqrt(image_sizes[objects.image].prod(1))))
    if enlarging >= ENLARGED and small / enlarging >= wanted:
        short = _multiple(native)
        text = (
            f"the photos' short side is {native:.0f} pixels (median): enlarging them to {now} adds no detail, and "
            f"steps take about {(now / short) ** 2:.1f} times as long"
        )
        severity: Severity = "note"
    elif small < wanted and native > now * ENLARGED:
        short = _multiple(min(native, now * min(wanted / small, LARGEST_FACTOR)))
        text = (
            f"a twentieth of the objects is smaller than {small:.0f} pixels after resizing, and the photos have more "
            f"detail (short side {native:.0f}); with it steps take about {(short / now) ** 2:.1f} times as long"
        )
        severity = "warning"
    else:
        return None
    if short == now:
        return None
    long = max(_multiple(short * float(np.quantile(longer / shorter, 0.95)) + MULTIPLE / 2), short)
    flags = (f"--config.input.short_side={short}", f"--config.input.long_side={long}")
    return Finding(severity, TOPIC, text, flags=flags), {"short_side": short, "long_side": long}


def advise_crossing(objects: ResizedObjects, experiment: WithAnchors) -> tuple[Finding, WithAnchors] | None:
    """Return the flag for training on anchors across the border, and the experiment with it; None where few gain.

    In small images most large anchors cross the border, and objects of their size have no other.
    """
    if experiment.rpn.cross_boundary_anchors:
        return None
    rpn = dataclasses.replace(experiment.rpn, cross_boundary_anchors=True)
    crossing = dataclasses.replace(experiment, rpn=rpn)
    before, after = _coverage(objects, experiment), _coverage(objects, crossing)
    if after < before + BETTER:
        return None
    text = f"{_gain(before, after)} where training uses the anchors that cross the image's border"
    return Finding("warning", TOPIC, text, flags=("--config.rpn.cross_boundary_anchors=True",)), crossing


def advise_anchors(objects: ResizedObjects, experiment: WithAnchors) -> list[Finding]:
    """Return other anchors, where more objects reach one of them, or as many reach one of fewer."""
    if isinstance(experiment, FasterRcnnFpn):
        return _pyramid_sizes(objects, experiment)
    before, current = _coverage(objects, experiment), experiment.anchors.scales
    others = [with_anchors(experiment, scales=scales) for scales in _candidates(objects.sizes)]
    better = max(others, key=lambda other: _coverage(objects, other) - PER_SCALE * len(other.anchors.scales))
    after, count = _coverage(objects, better), len(better.anchors.scales)
    findings = []
    fewer = count <= len(current) - 2 and after >= before - PER_SCALE  # one scale less saves little
    if fewer or after >= before + BETTER:
        low, high = np.quantile(objects.sizes, TAILS)
        limits = f"{experiment.input.short_side} x {experiment.input.long_side}"
        scales = f"{len(current)} -> {count} scales: " if count != len(current) else ""
        text = f"objects span {low:.0f} to {high:.0f} pixels at {limits}; {scales}{_gain(before, after)}"
        severity: Severity = "warning" if after >= before + BETTER else "note"
        findings.append(Finding(severity, TOPIC, text, flags=(_flag("scales", better.anchors.scales),)))
    else:
        better, after = experiment, before
    if ratio := _ratios(objects, better, after):
        findings.append(ratio)
    return findings


def with_anchors(experiment: FasterRcnn | FasterRcnnAlternating, **fields: Any) -> FasterRcnn | FasterRcnnAlternating:
    """Return the experiment with other fields of its anchors."""
    return dataclasses.replace(experiment, anchors=dataclasses.replace(experiment.anchors, **fields))


def advise_nms(objects: ResizedObjects, experiment: Experiment) -> Finding | None:
    """Return a higher NMS threshold where objects of a class overlap more than detections of them may."""
    limit: float = experiment.head.detections.nms_iou  # type: ignore[attr-defined]  # every system has a head
    ious = neighbour_ious(objects)
    lost, still = (ious > limit).mean(), (ious > NMS_IOU).mean()
    if limit >= NMS_IOU or lost < max(OVERLAPPING, FEWEST / 2 / len(ious)) or still > lost / 2:
        return None
    text = (
        f"{lost:.1%} of the objects overlap another of their class by more than IoU {limit:g}, where NMS keeps one of "
        f"the two; above {NMS_IOU:g} it is {still:.1%}"
    )
    return Finding("warning", TOPIC, text, flags=(f"--config.head.detections.nms_iou={NMS_IOU:g}",))


def _pyramid_sizes(objects: ResizedObjects, experiment: FasterRcnnFpn) -> list[Finding]:
    before, best = _coverage(objects, experiment), experiment
    for factor in (0.25, 0.5, 2.0):
        sizes = tuple(size * factor for size in experiment.anchors.sizes)
        other = dataclasses.replace(experiment, anchors=dataclasses.replace(experiment.anchors, sizes=sizes))
        if _coverage(objects, other) > _coverage(objects, best):
            best = other
    after = _coverage(objects, best)
    if after < before + BETTER:
        return []
    text = _gain(before, after)
    return [Finding("warning", TOPIC, text, flags=(_flag("sizes", best.anchors.sizes),))]


def _ratios(objects: ResizedObjects, experiment: FasterRcnn | FasterRcnnAlternating, before: float) -> Finding | None:
    """Return other aspect ratios where many more objects reach an anchor."""
    logs = np.quantile(np.log2(objects.ratios), (0.1, 0.5, 0.9))
    ratios = tuple(dict.fromkeys(round(float(2.0 ** (round(2 * log) / 2)), 2) for log in logs.tolist()))
    after = _coverage(objects, with_anchors(experiment, ratios=ratios))
    if after < before + BETTER:
        return None
    text = f"objects are {2 ** logs[0]:.2g} to {2 ** logs[2]:.2g} times as high as wide: {_gain(before, after)}"
    return Finding("warning", TOPIC, text, flags=(_flag("ratios", ratios),))


def _candidates(sizes: np.ndarray) -> list[tuple[float, ...]]:
    """Return scales an octave apart, on two grids, and half an octave apart, that cover sizes f[O] but their tails.

    No anchor is smaller than a cell.
    """
    low, high = np.maximum(np.log2(np.quantile(sizes, TAILS) / STRIDE), 0).tolist()
    grids = []
    for step, start in ((1.0, 0.0), (1.0, 0.5), (0.5, 0.0)):
        first, last = (max(round((end - start) / step), 0) for end in (low, high))
        grids.append(tuple(round(2.0 ** (start + step * k), 2) for k in range(first, last + 1)))
    return grids


def _gain(before: float, after: float) -> str:
    return f"{before:.0%} -> {after:.0%} of the objects overlap an anchor by IoU {IN_RANGE:g}"


def _coverage(objects: ResizedObjects, experiment: WithAnchors) -> float:
    """Return the share of the objects that are in the anchors' range."""
    return float((anchor_ious(objects, experiment) >= IN_RANGE).mean())


def _flag(field: str, values: Sequence[float]) -> str:
    return f"--config.anchors.{field}=({','.join(map(str, values))}{',' if len(values) == 1 else ''})"


def _multiple(side: float) -> int:
    return max(int(side) // MULTIPLE, 1) * MULTIPLE
