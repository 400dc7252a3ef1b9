"""The sections of report.html with numbers, each from metrics.json's and report.json's content."""

from collections.abc import Sequence
from typing import Any

from jaxdet.evaluation.curves import RECALLS
from jaxdet.evaluation.report.charts import curve, mirrored_histogram
from jaxdet.evaluation.report.markup import bar, escape, number, paragraph, section, table

KIND_TEXTS = {
    "classification": "box of an object, wrong class",
    "localisation": "right class, poor box (IoU 0.1 to 0.5)",
    "both": "wrong class and poor box",
    "duplicate": "object that a higher score has found",
    "background": "no object (IoU up to 0.1)",
    "missed": "object that no detection finds, not even with a wrong class or box",
}


def average_precisions(summary: dict[str, Any], numbers: dict[str, Any]) -> str:
    scores, best = ("voc10@0.5", "voc10@0.75", "voc07@0.5"), numbers["best_f1"]
    head = [
        "class",
        "objects",
        "detections",
        "AP at 0.5",
        "AP at 0.75",
        "VOC07 at 0.5",
        "COCO's AP",
        "best F1",
        "at score",
    ]

    def row(name: str, values: dict[str, Any], f1: dict[str, Any]) -> list[str]:
        counts = [f"{values[column]:,}" for column in ("objects", "detections")]
        aps = [number(values[column]) for column in (*scores, "AP")]
        return [escape(name), *counts, *aps, number(f1["f1"]), number(f1["threshold"], 2)]

    classes = summary["classes"]
    rows = [row(name, values, best["classes"][name]) for name, values in classes.items()]
    total = {column: sum(values[column] for values in classes.values()) for column in ("objects", "detections")}
    foot = row("mean (F1: all)", total | summary["mAP"] | {"AP": summary["coco"]["AP"]}, best["all"])
    coco = ", ".join(f"{name} {number(value)}" for name, value in summary["coco"].items())
    text = (
        "At 0.5 and 0.75 (IoU): the area under the precision-recall curve, as VOC from 2010 on. VOC07: the mean of 11 "
        "precisions. COCO's AP: the mean over IoU 0.5 to 0.95. Difficult objects count in COCO's AP only."
    )
    return section(
        "ap", "Average precision", table(head, rows, foot=foot), paragraph(text), paragraph(f"COCO: {coco}.")
    )


def errors(numbers: dict[str, Any]) -> str:
    kinds = numbers["tide"]["kinds"]
    most = max(*(values["dAP"] for values in kinds.values()), 1e-9)
    rows = [
        [
            f"{name}<br><span class=faint>{escape(KIND_TEXTS[name])}</span>",
            number(values["dAP"]),
            bar(values["dAP"] / most, "wrong"),
            f"{values['count_at_threshold']:,}",
            f"{values['count']:,}",
        ]
        for name, values in kinds.items()
    ]
    threshold = number(numbers["score_threshold"], 2)
    text = (
        f"How much the mean AP at IoU 0.5 ({number(numbers['tide']['AP'])} by COCO's rule) would rise if every error "
        "of one kind were corrected (TIDE, Bolya et al. 2020). The gains of several kinds do not add up."
    )
    head = ["kind of error", "AP lost", "", f"errors, score from {threshold}", "errors, any score"]
    return section("errors", "What costs average precision", paragraph(text), table(head, rows))


def scores(numbers: dict[str, Any]) -> str:
    best, counts, threshold = numbers["best_f1"]["all"], numbers["scores"], numbers["score_threshold"]
    if best["threshold"] is None:
        text = f"No detection is right, so no threshold is best; counts are of scores from {number(threshold, 2)}."
    else:
        text = (
            f"F1 is highest, {number(best['f1'])}, for scores from {number(threshold, 4)} (dashed line): precision "
            f"{number(best['precision'])}, recall {number(best['recall'])}. predict.py takes it as --threshold. It was "
            "chosen on these images: on others expect a little less."
        )
    chart = mirrored_histogram(
        *(counts["edges"], counts["right"], counts["wrong"]),
        name="right and wrong detections by score",
        mark=threshold,
        x_name="score",
    )
    legend = (
        "<p class=legend><span class=right><i></i>right, upwards</span>"
        "<span class=wrong><i></i>wrong, downwards</span></p>"
    )
    return section("scores", "Scores", paragraph(text), legend, chart, paragraph("Heights are logarithmic."))


def curves(numbers: dict[str, Any], summary: dict[str, Any], class_names: Sequence[str]) -> str:
    charts = []
    for name in class_names:
        best, ap = numbers["best_f1"]["classes"][name], summary["classes"][name]["voc10@0.5"]
        if not summary["classes"][name]["objects"]:
            continue
        point = None if best["threshold"] is None else (best["recall"], best["precision"])
        chart = curve(
            *(RECALLS.tolist(), numbers["precision_at_recall"][name]),
            name=f"precision-recall curve of {name}",
            x_name="recall",
            y_name="precision",
            point=point,
        )
        charts.append(f"<figure><figcaption>{escape(name)}, AP {number(ap)}</figcaption>{chart}</figure>")
    text = "Best precision at or beyond each recall, IoU 0.5. The point is where F1 is highest."
    return section("curves", "Precision and recall", paragraph(text), f'<div class="charts">{"".join(charts)}</div>')


def confusion(numbers: dict[str, Any], class_names: Sequence[str]) -> str:
    names, matrix = numbers["confusion"]["classes"], numbers["confusion"]["matrix"]
    shown = [names.index(name) for name in class_names] + [len(names) - 1]

    def cell(row: int, column: int) -> str:
        count, total = matrix[row][column], max(sum(matrix[row]), 1)
        colour = "right" if row == column else "wrong"
        return f'<td style="--colour:var(--{colour});--share:{count / total:.2f}">{count or ""}</td>'

    head = "".join(f"<th scope=col>{escape(names[column])}</th>" for column in shown)
    rows = "".join(
        f"<tr><th scope=row>{escape(names[row])}</th>{''.join(cell(row, column) for column in shown)}</tr>"
        for row in shown
    )
    text = (
        f"Rows: what is there. Columns: what was detected with a score from {number(numbers['score_threshold'], 2)}, "
        "paired at IoU above 0.5. The last column counts objects not found, the last row detections of nothing. "
        "Colours: share of the row."
    )
    head = f"<tr><th scope=col>true \\ detected</th>{head}</tr>"
    grid = f'<div class="wide"><table class="matrix">{head}{rows}</table></div>'
    return section("confusion", "Confusion matrix", paragraph(text), grid)


def sizes(numbers: dict[str, Any]) -> str:
    rows = []
    for row in numbers["recall_by_size"]:
        end = f" to {row['to']:g}" if row["to"] is not None else " and more"
        recalls = [row[column] / row["objects"] for column in ("found_at_threshold", "found")]
        shares = [f"{number(recall)} {bar(recall, 'right')}" for recall in recalls]
        rows.append([f"{row['from']:g}{end}", f"{row['objects']:,}", *shares])
    head = ["pixels", "objects", f"recall, score from {number(numbers['score_threshold'], 2)}", "recall, any score"]
    text = "Pixels: the side of a square of the object's area, in the original image. IoU above 0.5."
    return section("sizes", "Recall by size", paragraph(text), table(head, rows))


def speed(seconds: dict[str, float], images: int) -> str:
    total = max(sum(seconds.values()), 1e-9)
    rows = [
        [escape(name), f"{value:.1f}", f"{1000 * value / images:.1f}" if images else "", bar(value / total, "plain")]
        for name, value in seconds.items()
    ]
    text = (
        f"Wall-clock time of this evaluation of {images:,} images. Threads load and resize images ahead: only the time "
        "that detection waited for them is counted."
    )
    return section("speed", "Time", paragraph(text), table(["part", "seconds", "ms per image", ""], rows))
