"""Average precision against py-faster-rcnn, a plain double loop, and laws of any average precision."""

import pathlib

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.evaluation.voc_ap import average_precision, mean_ap

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "ap.npz"  # py-faster-rcnn's voc_eval, pycocotools
METRICS = ("voc07", "voc10")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("threshold", [0.5, 0.75])
def test_equals_py_faster_rcnn(metric, threshold):
    g = np.load(GOLDEN)
    detections = DetectionTable(g["det/image"], g["det/boxes"], g["det/labels"] + 1, g["det/scores"])
    truth = GroundTruthTable(g["gt/image"], g["gt/boxes"], g["gt/labels"] + 1, g["gt/difficult"])
    ap = average_precision(detections, truth, num_classes=20, metric=metric, iou_threshold=threshold)
    np.testing.assert_allclose(ap, g[f"{metric}/ap@{threshold}"], rtol=0, atol=1e-6)


def a_split(seed, *, images=6, objects=12, count=40, classes=3, ties=False):
    """Random objects, and detections: the objects moved a little, some with another label."""
    rng = np.random.default_rng(seed)
    corner, side = rng.integers(0, 60, (objects, 2)), rng.integers(8, 40, (objects, 2))
    truth = GroundTruthTable(
        rng.integers(0, images, objects).astype(np.int32),
        np.concatenate([corner, corner + side], 1).astype(np.float32),
        rng.integers(1, classes + 1, objects).astype(np.int32),
        rng.random(objects) < 0.2,
    )
    source = rng.integers(0, objects, count)
    labels = np.where(rng.random(count) < 0.8, truth.labels[source], rng.integers(1, classes + 1, count))
    boxes = truth.boxes[source] + rng.integers(-6, 7, (count, 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    scores = rng.integers(1, 6, count) / 6 if ties else rng.permutation(count) / count
    detections = DetectionTable(
        truth.image[source], boxes.astype(np.float32), labels.astype(np.int32), scores.astype(np.float32)
    )
    return detections, truth


def by_a_plain_loop(detections, truth, label, metric):
    """voc_eval's algorithm, one detection at a time, on 1-based inclusive boxes with the devkit's +1."""
    of_class = [i for i in range(len(detections.image)) if detections.labels[i] == label]
    of_class.sort(key=lambda i: -detections.scores[i])
    positives = int(((truth.labels == label) & ~truth.difficult).sum())
    taken, hits, curve = set(), 0, []
    for i in of_class:
        best, best_iou = None, 0.0
        for j in range(len(truth.image)):
            if truth.image[j] == detections.image[i] and truth.labels[j] == label:
                a, b = (box.astype(float) + [1, 1, 0, 0] for box in (detections.boxes[i], truth.boxes[j]))
                w, h = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k]) + 1) for k in (0, 1))
                area_a, area_b = ((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
                iou = w * h / (area_a + area_b - w * h)
                if iou > best_iou:
                    best, best_iou = j, iou
        if best_iou > 0.5 and truth.difficult[best]:
            continue
        if best_iou > 0.5 and best not in taken:
            taken.add(best)
            hits += 1
        curve.append((hits / positives, hits / (len(curve) + 1)))
    if metric == "voc07":
        return sum(max([p for r, p in curve if r >= t], default=0.0) for t in np.arange(0, 1.1, 0.1)) / 11
    area, last = 0.0, 0.0
    for k, (recall, _) in enumerate(curve):
        area, last = area + (recall - last) * max(p for _, p in curve[k:]), recall
    return area


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("ties", [False, True])
def test_equals_a_plain_loop(metric, ties):
    for seed in range(10):
        detections, truth = a_split(seed, ties=ties)
        ap = average_precision(detections, truth, num_classes=3, metric=metric)
        for label in (1, 2, 3):
            if not ((truth.labels == label) & ~truth.difficult).any():
                assert np.isnan(ap[label - 1])
            else:
                assert ap[label - 1] == pytest.approx(by_a_plain_loop(detections, truth, label, metric), abs=1e-12)


def rows(table, index):
    return type(table)(*(getattr(table, name)[index] for name in table.__dataclass_fields__))


@hypothesis.given(st.integers(0, 2**32 - 1), st.sampled_from(METRICS))
@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
def test_ap_is_in_0_1_ignores_row_order_and_monotone_scores_and_falls_with_a_miss(seed, metric):
    detections, truth = a_split(seed)
    ap = average_precision(detections, truth, num_classes=3, metric=metric)
    defined = ~np.isnan(ap)
    assert (ap[defined] >= 0).all() and (ap[defined] <= 1 + 1e-12).all()

    shuffled = rows(detections, np.random.default_rng(seed).permutation(len(detections.image)))
    np.testing.assert_array_equal(average_precision(shuffled, truth, num_classes=3, metric=metric), ap)

    squashed = DetectionTable(detections.image, detections.boxes, detections.labels, detections.scores**2 - 7)
    np.testing.assert_array_equal(average_precision(squashed, truth, num_classes=3, metric=metric), ap)

    perfect = DetectionTable(truth.image, truth.boxes, truth.labels, np.linspace(0.1, 1, len(truth.image)))
    unique = unique_boxes(truth)
    best = average_precision(rows(perfect, unique), rows(truth, unique), num_classes=3, metric=metric)
    np.testing.assert_allclose(best[~np.isnan(best)], 1, atol=1e-12)

    for score in (-1.0, 2.0):  # a miss below all others, or above them
        extra = [np.array([c]) for c in (0, [500, 500, 510, 510], 1, score)]
        more = DetectionTable(
            *(np.concatenate([getattr(detections, n), c]) for n, c in zip(FIELDS, extra, strict=True))
        )
        worse = average_precision(more, truth, num_classes=3, metric=metric)
        assert (worse[defined] <= ap[defined] + 1e-12).all()


FIELDS = ("image", "boxes", "labels", "scores")


def unique_boxes(truth):
    """Two objects of one class with the same box cannot both be matched: select one."""
    keys = np.column_stack([truth.image, truth.labels, truth.boxes])
    return np.unique(keys, axis=0, return_index=True)[1]


def one_image(boxes, scores, truth_boxes, difficult):
    n, m = len(boxes), len(truth_boxes)
    return (
        DetectionTable(np.zeros(n, int), np.array(boxes, float), np.ones(n, int), np.array(scores)),
        GroundTruthTable(np.zeros(m, int), np.array(truth_boxes, float), np.ones(m, int), np.array(difficult)),
    )


def test_a_match_needs_an_iou_above_the_threshold():
    half, more = [0, 0, 10, 5], [0, 0, 10, 5.01]
    for box, expected in ((half, 0.0), (more, 1.0)):
        tables = one_image([box], [0.9], [[0, 0, 10, 10]], [False])
        np.testing.assert_allclose(average_precision(*tables, num_classes=1, metric="voc10"), [expected])


@pytest.mark.parametrize(("threshold", "box"), [(0.5, [0, 0, 10, 5]), (0.75, [0, 0, 7.5, 10])])
def test_an_iou_of_exactly_the_threshold_is_a_match_on_request(threshold, box):
    for match_at_threshold, expected in ((False, 0.0), (True, 1.0)):
        tables = one_image([box], [0.9], [[0, 0, 10, 10]], [False])
        options = {"iou_threshold": threshold, "match_at_threshold": match_at_threshold}
        assert average_precision(*tables, num_classes=1, metric="voc07", **options).tolist() == [expected]


def test_a_match_at_the_threshold_with_a_difficult_object_is_ignored_too():
    tables = one_image([[0, 0, 10, 5]], [0.9], [[0, 0, 10, 10], [50, 50, 60, 60]], [True, False])
    difficult = rows(tables[0], [0, 0]), tables[1]
    difficult[0].boxes[1] = [50, 50, 60, 60]
    for match_at_threshold, expected in ((False, 0.5), (True, 1.0)):
        ap = average_precision(*difficult, num_classes=1, metric="voc10", match_at_threshold=match_at_threshold)
        assert ap.tolist() == [expected]


def test_matches_with_difficult_objects_are_ignored():
    easy, hard = [0, 0, 10, 10], [50, 50, 60, 60]
    tables = one_image([hard, hard, easy], [0.9, 0.8, 0.7], [easy, hard], [False, True])
    np.testing.assert_allclose(average_precision(*tables, num_classes=1, metric="voc10"), [1.0])


def test_a_second_match_is_a_false_positive():
    first, second = [0, 0, 10, 10], [50, 50, 60, 60]
    tables = one_image([first, first, second], [0.9, 0.8, 0.7], [first, second], [False, False])
    np.testing.assert_allclose(average_precision(*tables, num_classes=1, metric="voc10"), [0.5 + 0.5 * 2 / 3])


def test_equal_scores_keep_the_order_of_the_table():
    hit, miss, truth = [0, 0, 10, 10], [50, 50, 60, 60], [[0, 0, 10, 10]]
    for boxes, expected in (([hit, miss], 1.0), ([miss, hit], 0.5)):
        tables = one_image(boxes, [0.5, 0.5], truth, [False])
        np.testing.assert_allclose(average_precision(*tables, num_classes=1, metric="voc10"), [expected])


def test_a_class_without_objects_is_nan_and_ignored_by_the_mean():
    detections, truth = one_image([[0, 0, 10, 10]], [0.9], [[0, 0, 10, 10]], [False])
    ap = average_precision(detections, truth, num_classes=2, metric="voc07")
    np.testing.assert_allclose(ap, [1.0, np.nan])
    assert mean_ap(ap) == 1.0
    assert np.isnan(mean_ap(np.full(2, np.nan)))


def test_ap_is_0_without_detections_and_nan_without_objects():
    detections, truth = one_image([[0, 0, 10, 10]], [0.9], [[0, 0, 10, 10]], [False])
    nothing = slice(0, 0)
    for metric in METRICS:
        assert average_precision(rows(detections, nothing), truth, num_classes=1, metric=metric) == [0.0]
        assert np.isnan(average_precision(detections, rows(truth, nothing), num_classes=1, metric=metric)).all()


def test_an_unknown_metric_and_labels_outside_the_classes_are_refused():
    detections, truth = one_image([[0, 0, 10, 10]], [0.9], [[0, 0, 10, 10]], [False])
    with pytest.raises(ValueError, match="'voc07' or 'voc10', got 'voc12'"):
        average_precision(detections, truth, num_classes=1, metric="voc12")
    with pytest.raises(ValueError, match=r"DetectionTable: labels must lie in 1\.\.0, got \[1\]"):
        average_precision(detections, truth, num_classes=0, metric="voc07")
