"""report.html: one page that shows an evaluation, without any other file, and report.json with its numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxdet.evaluation.analysis import Analysis
from jaxdet.evaluation.report import sections
from jaxdet.evaluation.report.markup import escape, paragraph, section
from jaxdet.evaluation.report.pictures import figure
from jaxdet.evaluation.report.style import STYLE
from jaxdet.evaluation.strict_json import strict_json
from jaxdet.evaluation.tables import GroundTruthTable
from jaxdet.evaluation.tide import KINDS
from jaxdet.evaluation.worst_images import worst_images
from jaxdet.io.output_folder import OutputFolder

REPORT, REPORT_NUMBERS = "report.html", "report.json"
IMAGES_PER_KIND = 3
MOST_CLASSES = 100  # with a curve and a row of the matrix; of more the most frequent

LEGEND = (
    "<p class=legend><span class=right><i></i>right</span><span class=wrong><i></i>wrong, with the kind of error</span>"
    "<span class=lost><i></i>object not found</span><span class=object><i></i>object found</span></p>"
)


def write_report(
    output: OutputFolder,
    analysis: Analysis,
    summary: dict[str, Any],
    ground_truth: GroundTruthTable,
    *,
    title: str,
    image_names: Sequence[str],
    read_image: Callable[[int], np.ndarray],
    seconds: dict[str, float],
) -> None:
    """Write report.html and report.json.

    Args:
      summary: the content of metrics.json.
      title: of the page.
      image_names: names of image 0, 1, ...
      read_image: image number -> u8[H,W,3] RGB; called for the few worst images, one after the other.
      seconds: wall-clock time of each part of the evaluation.
    """
    worst = {
        name: worst_images(analysis.detections, ground_truth, analysis.errors, kind=kind, most=IMAGES_PER_KIND)
        for kind, name in enumerate(KINDS)
    }
    numbers = analysis.numbers | {
        "worst_images": {name: [image_names[i] for i in images] for name, images in worst.items()},
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }
    output.write(REPORT_NUMBERS, strict_json(numbers))

    class_names = tuple(summary["classes"])
    figures = {
        name: [
            figure(read_image(i), i, image_names[i], analysis, ground_truth, class_names, kind=KINDS.index(name))
            for i in images
        ]
        for name, images in worst.items()
    }
    output.write(REPORT, page(title, summary, numbers, figures, images=len(image_names)))


def page(
    title: str, summary: dict[str, Any], numbers: dict[str, Any], figures: dict[str, list[str]], *, images: int
) -> str:
    """Return the page; `figures` are HTML by kind of error."""
    names = _most_frequent(summary["classes"])
    body = [
        f"<h1>{escape(title)}</h1>",
        _facts(summary, numbers, images),
        sections.average_precisions(summary, numbers),
        sections.errors(numbers),
        _worst(figures, numbers["score_threshold"]),
        sections.scores(numbers),
        sections.confusion(numbers, names),
        sections.curves(numbers, summary, names),
        sections.sizes(numbers),
        sections.speed(numbers["seconds"], images),
    ]
    if len(names) < len(summary["classes"]):
        body.append(paragraph(f"Curves and the confusion matrix show the {len(names)} most frequent classes."))
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,'
        f'initial-scale=1"><title>{escape(title)}</title><style>{STYLE}</style><body>'
    )
    return f"{head}{chr(10).join(body)}\n</body></html>\n"


def _facts(summary: dict[str, Any], numbers: dict[str, Any], images: int) -> str:
    classes = summary["classes"].values()
    objects, detections = (sum(values[column] for values in classes) for column in ("objects", "detections"))
    facts = [
        f"{images:,} images, {objects:,} objects, {detections:,} detections. "
        f"Split {summary['split']}, checkpoint {summary['checkpoint']}."
    ]
    if summary["not_as_trained"]:
        facts.append(f"Differs from training: {'; '.join(summary['not_as_trained'])}.")
    links = {
        "ap": "average precision",
        "errors": "errors",
        "worst": "worst images",
        "scores": "scores",
        "confusion": "confusion matrix",
        "curves": "precision and recall",
        "sizes": "recall by size",
        "speed": "time",
    }
    nav = "".join(f'<a href="#{anchor}">{text}</a>' for anchor, text in links.items())
    return f"{''.join(map(paragraph, facts))}<nav>{nav}</nav>"


def _worst(figures: dict[str, list[str]], threshold: float) -> str:
    text = (
        f"Up to {IMAGES_PER_KIND} images with most errors of each kind, at scores from {threshold:.2f}. Detections "
        "that match difficult objects are not shown."
    )
    parts = [
        f'<h3>{name}: {sections.KIND_TEXTS[name]}</h3><div class="pictures">{"".join(images)}</div>'
        for name, images in figures.items()
        if images
    ]
    return section("worst", "Worst images", paragraph(text), LEGEND, *parts)


def _most_frequent(classes: dict[str, dict[str, Any]]) -> list[str]:
    """Return the names of at most MOST_CLASSES classes with most objects, in their own order."""
    frequent = sorted(classes, key=lambda name: -classes[name]["objects"])[:MOST_CLASSES]
    return [name for name in classes if name in frequent]
