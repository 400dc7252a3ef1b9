"""The doctor: examines the environment, the data and the cost of a training before it starts, and changes nothing."""

import logging
from collections.abc import Collection, Sequence

from ml_collections import ConfigDict

from jaxdet.checks import InputError
from jaxdet.config.dataset_fields import Devkit, Voc
from jaxdet.config.parse import parse
from jaxdet.config.schema import Experiment
from jaxdet.data.buckets import Bucket, assign_buckets, buckets
from jaxdet.data.class_names import parse_names
from jaxdet.data.datasets import shape_drawing, voc
from jaxdet.data.datasets.folder_format import FolderFormat
from jaxdet.data.datasets.folder_splits import choose_images
from jaxdet.data.datasets.formats import open_folder
from jaxdet.doctor.advice import advise
from jaxdet.doctor.classes import class_findings, count_classes
from jaxdet.doctor.cost import estimate
from jaxdet.doctor.data import Survey, examine_split, image_findings
from jaxdet.doctor.duplicates import duplicate_findings, find_duplicates
from jaxdet.doctor.environment import examine_environment
from jaxdet.doctor.finding import Finding, by_severity
from jaxdet.doctor.objects import object_findings, resized_objects, summary
from jaxdet.doctor.output import open_output, write
from jaxdet.doctor.report import Report, show

log = logging.getLogger(__name__)

PARTS = ("train", "validation", "test")
WITHOUT = {  # flags of a training without a part
    "train": (),
    "validation": ("--config.training.eval_every=0", "--config.splits.validation="),
    "test": ("--config.splits.test=",),
}


def doctor(
    config: ConfigDict,
    workdir: str | None,
    *,
    command: Sequence[str],
    overridden: Collection[str],
    output: str | None,
    timing: bool,
) -> Report:
    """Examine a training, print a report and write it to a .json file.

    Args:
      config: of the training.
      workdir: None for runs/<name of the config>.
      command: that trains with this config, as words; the report adds its flags.
      overridden: fields that were set on the command line; see resolve_config.
      output: the file; None for doctor.json in the current folder, unless that is inside the data's.
      timing: compile and time a step.

    Raises:
      InputError: a mistake in the config; there is no data set to examine; the file cannot be written.
    """
    experiment = parse(config.to_dict())
    source = open_folder(experiment.dataset.devkit) if isinstance(experiment.dataset, Devkit) else None
    target = open_output(output, None if source is None else source.folder)
    folders = {"workdir": workdir or experiment.default_workdir, "data_dir": experiment.dataset.data_dir}
    environment, findings = examine_environment(folders)
    report = Report(list(command), environment, findings)
    if source is not None:
        class_names, used = _examine_folder(source, experiment, report)
    else:
        kind = experiment.dataset.kind
        text = f"the data are not examined: those of dataset.kind {kind!r} are published or generated, not your own"
        findings.append(Finding("note", "images", text))
        class_names = voc.CLASS_NAMES if isinstance(experiment.dataset, Voc) else shape_drawing.CLASS_NAMES
        used = list(buckets(short_side=experiment.input.short_side, long_side=experiment.input.long_side))
    if timing and used and class_names:
        report.cost, of_cost = estimate(
            experiment, class_names, used, workdir=folders["workdir"], overridden=overridden
        )
        findings += of_cost
    findings[:] = by_severity(findings)
    show(report)
    if target is not None:
        write(target, report)
    return report


def _examine_folder(
    source: FolderFormat, experiment: Experiment, report: Report
) -> tuple[tuple[str, ...], list[Bucket]]:
    """Add all about the data to the report; return the classes and the bucket of each training image."""
    options, findings = experiment.dataset, report.findings
    assert isinstance(options, Devkit)
    report.source = f"{source.folder} ({source.name})"
    try:
        class_names = parse_names(options.class_names) or source.class_names()
    except InputError as error:
        findings.append(Finding("error", "classes", str(error).removesuffix(".")))
        class_names = ()
    surveys = {part: survey for part in PARTS if (survey := _survey(source, experiment, part, class_names, findings))}
    sides = {"short_side": experiment.input.short_side, "long_side": experiment.input.long_side}
    for part, survey in surveys.items():
        findings += image_findings(survey, **sides)
        report.splits[part] = survey.row()
    if sampled := [f"{len(survey.names)} for {part}" for part, survey in surveys.items() if survey.sampled]:
        text = f"the folder lacks splits, so images are sampled by a hash of their names: {', '.join(sampled)}"
        findings.append(Finding("note", "splits", text))
    pictures = [picture for survey in surveys.values() for picture in survey.pictures]
    findings += duplicate_findings(*find_duplicates(pictures))
    train = surveys.get("train")
    if train is None:
        return class_names, []
    report.classes = {part: count_classes(survey.truth, class_names) for part, survey in surveys.items()}
    findings += class_findings(report.classes)
    objects = resized_objects(train.truth, train.image_sizes, **sides, use_difficult=experiment.input.use_difficult)
    report.objects = summary(objects, experiment, class_names)
    findings += object_findings(objects, experiment)
    findings += advise(train.truth, train.image_sizes, experiment)
    return class_names, assign_buckets(train.image_sizes, **sides)


def _survey(
    source: FolderFormat, experiment: Experiment, part: str, class_names: tuple[str, ...], findings: list[Finding]
) -> Survey | None:
    """Return a split; None, with a finding, where the config names none, the folder lacks it, or no image is usable."""
    split, options = getattr(experiment.splits, part), experiment.dataset
    assert isinstance(options, Devkit)
    if not split or (part == "validation" and not experiment.training.eval_every):
        return None
    try:
        chosen = choose_images(source, split)
    except InputError as error:
        text = str(error).removeprefix("devkit: ").removesuffix(".")
        findings.append(Finding("note" if part == "test" else "error", "splits", text, flags=WITHOUT[part]))
        return None
    survey = examine_split(
        chosen.images,
        class_names,
        part=part,
        split=split,
        sampled=chosen.sampled is not None,
        annotated=part != "test" or any(image.is_annotated() for image in chosen.images),
        max_pixels=options.max_pixels,
    )
    if survey.names:
        return survey
    findings += image_findings(survey, short_side=1, long_side=1)
    findings.append(Finding("error", "splits", f"no image of split {split!r} can be used"))
    return None
