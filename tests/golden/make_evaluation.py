"""Write evaluation.json: python tests/golden/make_evaluation.py, in an environment of its own.

It needs numpy 2.4.6, tidecv 1.0.1, pycocotools 2.0.11, supervision 0.31.2 and scikit-learn 1.9.1, none of jaxdet's.

The file has random objects and detections, and what those packages compute from them. Objects of one class and image
lie apart, so that VOC's and COCO's rules match the same pairs; objects of other classes overlap. "overlapping" has
objects that overlap whatever their class, for supervision, whose rule is the one that jaxdet.evaluation.confusion has.
"""

import contextlib
import io
import json
import pathlib

import numpy as np
import supervision as sv
import tidecv
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import precision_recall_curve

FILE = pathlib.Path(__file__).parent / "evaluation.json"
CLASSES, IMAGES = 3, 40
SIDE_EDGES = (0, 16, 32, 64, 128, 256)
SCORE_THRESHOLD = 0.4


def iou(a, b):
    w, h = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return w * h / (sum(areas) - w * h)


def moved(rng, box, share):
    """Return a box with each edge moved by a normal share of its side."""
    w, h = box[2] - box[0], box[3] - box[1]
    box = np.array(box) + rng.normal(0, share, 4) * [w, h, w, h]
    return np.round([box[0], box[1], max(box[2], box[0] + 2), max(box[3], box[1] + 2)], 1).tolist()


def random_objects(rng, *, apart):
    """Return rows (image, x1, y1, x2, y2, label)."""
    rows = []
    for image in range(IMAGES):
        here = []
        for _ in range(rng.integers(0, 8)):
            if here and rng.random() < 0.4:  # near another object
                box = moved(rng, here[rng.integers(len(here))][1:5], 0.1)
            else:
                corner, side = rng.uniform(0, 300, 2), np.exp(rng.uniform(np.log(8), np.log(200), 2))
                box = np.round([*corner, *(corner + side)], 1).tolist()
            row = [image, *box, int(rng.integers(1, CLASSES + 1))]
            if not (apart and any(row[5] == other[5] and iou(row[1:5], other[1:5]) > 0 for other in here)):
                here.append(row)
        rows += here
    return rows


def random_detections(rng, objects):
    """Return rows (image, x1, y1, x2, y2, label, score) without equal scores."""
    rows = []
    for image, *box, label in objects:
        for share in rng.choice([0.02, 0.08, 0.25], rng.choice([0, 1, 2, 3], p=[0.15, 0.45, 0.25, 0.15])):
            other = int(rng.integers(1, CLASSES + 1))
            rows.append([image, *moved(rng, box, share), label if rng.random() < 0.75 else other])
    for _ in range(60):  # anywhere
        corner, side = rng.uniform(0, 300, 2), rng.uniform(10, 150, 2)
        box = np.round([*corner, *(corner + side)], 1).tolist()
        rows.append([int(rng.integers(IMAGES)), *box, int(rng.integers(1, CLASSES + 1))])
    scores = rng.permutation(len(rows)) + 0.5
    return [[*row, round(float(score) / len(rows), 6)] for row, score in zip(rows, scores, strict=True)]


def by_tidecv(objects, detections):
    """Return the AP at IoU 0.5 and, per kind of error, dAP (both of 1, not 100) and the number of errors."""
    truth, predictions = tidecv.Data("truth"), tidecv.Data("detections")
    for image, x1, y1, x2, y2, label in objects:
        truth.add_ground_truth(image, label, [x1, y1, x2 - x1, y2 - y1])
    for image in range(IMAGES):
        truth.add_image(image, str(image))
    for image, x1, y1, x2, y2, label, score in detections:
        predictions.add_detection(image, label, score, [x1, y1, x2 - x1, y2 - y1])
    run = tidecv.TIDE().evaluate(truth, predictions, mode=tidecv.TIDE.BOX)
    gains, counts = run.fix_main_errors(), run.count_errors()
    names = {"Cls": "classification", "Loc": "localisation", "Both": "both", "Dupe": "duplicate"}
    names |= {"Bkg": "background", "Miss": "missed"}
    kinds = {names[kind.short_name]: {"dAP": float(gain) / 100, "count": counts[kind]} for kind, gain in gains.items()}
    return {"AP": float(run.ap) / 100, "kinds": kinds}


def by_supervision(objects, detections):
    """Return the confusion matrix of detections above SCORE_THRESHOLD: rows are true classes, background is last."""
    objects, detections = np.array(objects), np.array(detections)
    targets, predictions = [], []
    for image in range(IMAGES):
        targets.append((objects[objects[:, 0] == image, 1:] - [0, 0, 0, 0, 1]).astype(np.float32))
        predictions.append((detections[detections[:, 0] == image, 1:] - [0, 0, 0, 0, 1, 0]).astype(np.float32))
    names = [str(k) for k in range(CLASSES)]
    matrix = sv.ConfusionMatrix.from_tensors(
        predictions, targets, names, conf_threshold=SCORE_THRESHOLD, iou_threshold=0.5
    )
    return matrix.matrix.astype(int).tolist()


def by_pycocotools(objects, detections):
    """Return the precisions at 101 recalls of each class, and the objects and those found per range of side."""
    annotations = [
        {"id": i, "image_id": row[0], "category_id": row[5], "iscrowd": 0, "bbox": _xywh(row), "area": _area(row)}
        for i, row in enumerate(objects, 1)
    ]
    results = [
        {"image_id": row[0], "category_id": row[5], "bbox": _xywh(row), "score": row[6], "area": _area(row), "id": i}
        for i, row in enumerate(detections, 1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = COCO(), COCO()
        for coco, rows in ((truth, annotations), (found, results)):
            coco.dataset = {"images": [{"id": i} for i in range(IMAGES)], "annotations": rows}
            coco.dataset["categories"] = [{"id": k} for k in range(1, CLASSES + 1)]
            coco.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.params.iouThrs, evaluation.params.maxDets = np.array([0.5]), [1000]
        ranges = [(0, 1e10), *((low**2, high**2) for low, high in zip(SIDE_EDGES, SIDE_EDGES[1:], strict=False))]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = ranges, [str(r) for r in ranges]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = (
        evaluation.eval["precision"][0, :, :, 0, 0],
        evaluation.eval["recall"][0, :, 1:, 0],
    )  # [101,K] [K,A]
    sizes = np.sqrt([_area(row) for row in objects])
    labels = np.array([row[5] for row in objects])
    counts = np.array([np.histogram(sizes[labels == k], SIDE_EDGES)[0] for k in range(1, CLASSES + 1)])
    return {
        "precision": precision.T.tolist(),
        "objects_by_size": counts.sum(0).tolist(),
        "found_by_size": np.round((np.maximum(recall, 0) * counts).sum(0)).astype(int).tolist(),
    }


def by_sklearn(objects, detections):
    """Return the threshold that maximises F1, F1, precision and recall there, of each class and of all detections.

    An object that no detection finds counts as an example below all scores.
    """
    annotations = {}
    for i, row in enumerate(objects):
        annotations.setdefault((row[0], row[5]), []).append(i)
    right, taken = [], set()
    for row in sorted(detections, key=lambda row: -row[6]):
        best = max(annotations.get((row[0], row[5]), []), key=lambda i: iou(objects[i][1:5], row[1:5]), default=None)
        hit = best is not None and best not in taken and iou(objects[best][1:5], row[1:5]) > 0.5
        taken |= {best} if hit else set()
        right.append((row[5], row[6], hit))
    results = []
    for k in (None, *range(1, CLASSES + 1)):
        hits = [(score, hit) for label, score, hit in right if k in (None, label)]
        missed = sum(k in (None, row[5]) for i, row in enumerate(objects) if i not in taken)
        hits += [(-1.0, True)] * missed
        precision, recall, thresholds = precision_recall_curve([h for _, h in hits], [s for s, _ in hits])
        precision, recall = precision[:-1][thresholds > 0], recall[:-1][thresholds > 0]
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        i = int(np.argmax(f1))
        values = thresholds[thresholds > 0][i], f1[i], precision[i], recall[i]
        results.append(dict(zip(("threshold", "f1", "precision", "recall"), map(float, values), strict=True)))
    return {"overall": results[0], "classes": results[1:]}


def _xywh(row):
    return [row[1], row[2], row[3] - row[1], row[4] - row[2]]


def _area(row):
    return (row[3] - row[1]) * (row[4] - row[2])


def main():
    rng = np.random.default_rng(0)
    objects = random_objects(rng, apart=True)
    detections = random_detections(rng, objects)
    overlapping = random_objects(rng, apart=False)
    overlapping_detections = random_detections(rng, overlapping)
    content = {
        "images": IMAGES,
        "score_threshold": SCORE_THRESHOLD,
        "side_edges": SIDE_EDGES,
        "apart": {
            "objects": objects,
            "detections": detections,
            "tidecv": by_tidecv(objects, detections),
            "pycocotools": by_pycocotools(objects, detections),
            "sklearn": by_sklearn(objects, detections),
            "supervision": by_supervision(objects, detections),
        },
        "overlapping": {
            "objects": overlapping,
            "detections": overlapping_detections,
            "supervision": by_supervision(overlapping, overlapping_detections),
        },
    }
    FILE.write_text(json.dumps(content) + "\n")
    print({name: len(rows) for name, rows in content["apart"].items()}, content["apart"]["tidecv"])


if __name__ == "__main__":
    main()
