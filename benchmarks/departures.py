"""How much each departure from py-faster-rcnn (README's table) changes, on made-up but life-like inputs.

    python -m benchmarks.departures [path/to/VOCdevkit/VOC2012]

With a folder in VOC layout it measures on the boxes of that folder's trainval, too; its photos are not read.
Boxes are continuous here: an inclusive x2 or y2 of py-faster-rcnn stands one larger. The ground truth and image size
are those of tests/golden/targets.npz, the rest is drawn with seed 0. Photos are taken to be 375x500, resized by 1.6.
"""

import functools
import pathlib

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.cli.app import run
from jaxdet.data import buckets
from jaxdet.data.datasets import voc_layout
from jaxdet.data.datasets.voc_xml import annotated_size, read_objects, read_xml
from jaxdet.data.transforms import pad_ground_truth, resize_scale
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.evaluation.voc_ap import average_precision
from jaxdet.ops.anchors import base_anchors, grid_anchors
from jaxdet.ops.boxes import clip, decode, encode, inside, pairwise_iou
from jaxdet.ops.matching import match
from jaxdet.ops.nms import nms
from jaxdet.ops.roi_pool import roi_max_pool

HEIGHT, WIDTH, GRID, SCALE = 600, 800, (38, 50), 1.6
SIDES = {"short_side": 600, "long_side": 1000}
ONE_LESS = np.float32([0, 0, 1, 1])  # pixel at the right and bottom
SIZE = jnp.float32([HEIGHT, WIDTH])
RULE = {"positive_iou": 0.7, "negative_iou": 0.3, "force_best": True}
GOLDEN = pathlib.Path(__file__).parents[1] / "tests" / "golden"


@functools.cache
def truth():
    with np.load(GOLDEN / "targets.npz") as golden:
        return jnp.asarray(golden["gt_boxes"])


def rpn_outputs(rng):
    """Anchors, deltas pulled towards the ground truth, and scores, as a half-trained network gives them."""
    anchors = jnp.asarray(grid_anchors(base_anchors(), GRID, stride=16))
    iou = np.asarray(pairwise_iou(anchors, truth()))
    near = encode(truth()[iou.argmax(axis=1)], anchors)
    pull = np.where(iou.max(axis=1) > 0.1, rng.uniform(0.3, 0.95, len(iou)), 0.0)[:, None]
    deltas = np.float32(near * pull + rng.normal(0, [0.1, 0.1, 0.5, 0.5], near.shape))
    return anchors, jnp.asarray(deltas), jnp.asarray(iou.max(axis=1) + rng.normal(0, 0.1, len(iou)), jnp.float32)


def proposals(rng):
    anchors, deltas, scores = rpn_outputs(rng)
    decoded = decode(deltas, anchors)
    exact = clip(decoded, SIZE)
    wider = clip(decoded + ONE_LESS[None], SIZE)

    def kept(boxes, sides):
        large = (sides[:, 2:] - sides[:, :2]).min(axis=1) >= 16 * SCALE
        best = jnp.argsort(jnp.where(large, scores, -jnp.inf), descending=True)[:12000]
        index, valid = nms(boxes[best], scores[best], large[best], iou_threshold=0.7, max_outputs=2000)
        return set(np.asarray(best)[np.asarray(index)[np.asarray(valid)]].tolist()), int(large.sum())

    ours, large = kept(exact, exact)
    theirs, _ = kept(wider, exact)
    smaller, large_there = kept(exact, wider)
    a, b = np.asarray(exact), np.asarray(wider)
    shared, area = (a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1)
    mean_iou = np.mean(shared[area > 0] / area[area > 0])
    print(
        f"decoded one pixel wider: mean IoU {mean_iou:.4f} with ours; of {len(ours)} kept {len(ours - theirs)} differ"
    )
    print(f"minimum size: {large_there - large} of {len(a)} boxes pass there only; of {len(ours)} kept ", end="")
    print(f"{len(ours - smaller)} differ")
    return np.array([a[i] for i in sorted(ours)])


def scaled_truth():
    """There inclusive corners are scaled and 1 is added after that, so boxes are SCALE - 1 pixels smaller than here."""
    anchors = jnp.asarray(grid_anchors(base_anchors(), GRID, stride=16))
    smaller = truth() - (SCALE - 1) * ONE_LESS[None]
    labels = [
        np.asarray(match(pairwise_iou(anchors, gt), inside(anchors, SIZE), jnp.ones(len(gt), bool), **RULE).label)
        for gt in (truth(), smaller)
    ]
    iou = np.diagonal(pairwise_iou(truth(), smaller))
    print(f"ground truth scaled before 1 is added: mean IoU {iou.mean():.4f} with ours; ", end="")
    print(f"{(labels[0] != labels[1]).sum()} of {(labels[0] >= 0).sum()} anchor labels differ")


def changed_cells(what, features, ours, theirs):
    """Prints how the pooled features differ between two versions of the same RoIs."""
    moved = np.floor(ours / 16 + 0.5) != np.floor(theirs / 16 + 0.5)
    a, b = (np.asarray(roi_max_pool(features, jnp.asarray(boxes, jnp.float32))) for boxes in (ours, theirs))
    print(f"{what}: {moved[:, 2:].mean():.1%} of {2 * len(ours)} right and bottom edges in another cell, ", end="")
    print(f"{(a != b).mean():.1%} of the pooled values differ, by {np.abs(a - b).mean() / b.mean():.1%} on the mean")


def pooling(rng, proposed):
    noise = cv2.GaussianBlur(rng.normal(size=(*GRID, 64)).astype(np.float32), (0, 0), 1.0)
    features = jnp.maximum(noise, 0)
    corner = rng.uniform(0, [WIDTH - 220, HEIGHT - 220], (1000, 2))
    objects = np.concatenate([corner, corner + rng.uniform(20, 200, (1000, 2))], axis=1)
    changed_cells("RoI pooling of appended ground truth", features, objects, objects - SCALE * ONE_LESS)
    # Clipped there to W - 1 and H - 1, here to W and H; elsewhere the decoded numbers are the same.
    at_border = np.minimum(proposed, [WIDTH - 1, HEIGHT - 1] * 2)
    changed_cells("RoI pooling of clipped proposals", features, proposed, at_border)


def rounding(rng):
    spectrum = np.fft.rfft2(rng.normal(size=(375, 500, 3)), axes=(0, 1))
    frequency = np.hypot(np.fft.fftfreq(375)[:, None], np.fft.rfftfreq(500)[None, :])[..., None]
    natural = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / 500), s=(375, 500), axes=(0, 1))
    image = np.clip(127 + 55 * natural / natural.std(), 0, 255).astype(np.uint8)
    exact = cv2.resize(image.astype(np.float32), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_LINEAR)
    error = cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_LINEAR) - exact
    print(
        f"uint8 after resizing: {np.abs(error).mean():.3f} grey levels on the mean, {np.abs(error).max():.2f} at most"
    )


def untouched(rng):
    anchors = jnp.asarray(grid_anchors(base_anchors(), GRID, stride=16))
    anchors = anchors[np.asarray(inside(anchors, SIZE))]
    print(f"ground truth that none of {len(anchors)} inside anchors touches, of 10000 boxes:", end="")
    for side in (4, 8, 16):
        corner = rng.uniform(0, [WIDTH - side, HEIGHT - side], (10_000, 2)).astype(np.float32)
        iou = pairwise_iou(jnp.asarray(np.concatenate([corner, corner + side], axis=1)), anchors)
        print(f" {int((np.asarray(iou).max(axis=1) == 0).sum())} of side {side}", end="")
    print()


def thresholds(rng):
    """Objects of whole pixels, and boxes around them that are whole, to a tenth as in the result files, or free."""
    corner = rng.integers(0, 300, (200_000, 2))
    objects = np.concatenate([corner, corner + rng.integers(10, 200, (200_000, 2))], axis=1).astype(np.float32)
    near = objects + rng.normal(0, 0.15, objects.shape) * np.tile(objects[:, 2:] - objects[:, :2], 2)
    for name, digits in (("whole pixels", 0), ("tenths", 1), ("any", 6)):
        found = np.round(near, digits).astype(np.float32)
        width, height = (np.minimum(objects, found)[:, 2:] - np.maximum(objects, found)[:, :2]).clip(0).T
        area = [(b[:, 2:] - b[:, :2]).clip(0).prod(axis=1) for b in (objects, found)]
        iou = width * height / (area[0] + area[1] - width * height)
        counts = [f"{int((iou == np.float32(t)).sum())} at {t}" for t in (0.3, 0.5, 0.7)]
        print(f"IoU exactly at a threshold, {len(iou)} pairs, {name}: {', '.join(counts)}")


def rounded_scores(rng):
    images, per_image = 1000, 30
    corner = rng.uniform(0, 300, (images, 2))
    objects = np.concatenate([corner, corner + 100], axis=1).astype(np.float32)
    image = np.repeat(np.arange(images), per_image)
    boxes = objects[image] + rng.normal(0, 1, (len(image), 4)) * rng.choice([8, 60], (len(image), 1), p=[0.05, 0.95])
    iou_like = 1 - np.abs(boxes - objects[image]).mean(axis=1) / 50
    scores = (1 / (1 + np.exp(-6 * (iou_like - 0.6) - rng.normal(0, 1, len(image))))).astype(np.float32)
    label, one = np.ones(len(image), np.int32), np.ones(images, np.int32)
    difficult = np.zeros(images, bool)
    table = GroundTruthTable(image=np.arange(images), boxes=objects, labels=one, difficult=difficult)
    for metric in ("voc07", "voc10"):
        ap = [
            average_precision(
                DetectionTable(image=image, boxes=boxes.astype(np.float32), labels=label, scores=s),
                table, num_classes=1, metric=metric,
            )[0]
            for s in (scores, np.round(scores, 3))
        ]  # fmt: skip
        print(f"scores to three digits: {metric} {ap[0]:.5f} -> {ap[1]:.5f}")


def ties():
    """There every detection is kept whose score is not below the 100th best; 702 of one image, with no limit."""
    with np.load(GOLDEN / "sf_detector.npz") as golden:
        scores = np.sort(golden["eval/detections/scores"])[::-1]
    print(f"ties: {(scores >= scores[99]).sum() - 100} more than 100 detections, ", end="")
    print(f"{len(scores) - len(np.unique(scores))} of {len(scores)} scores are another's, too")


def annotations(folder):
    """(height, width) and boxes f32[G,4] of each photo of trainval, without the difficult objects."""
    folder = voc_layout.find_devkit(folder)
    class_names = voc_layout.find_class_names(folder)
    for name in voc_layout.read_split(folder, "trainval"):
        root = read_xml(folder / "Annotations" / f"{name}.xml")
        size = annotated_size(root)
        objects, _ = read_objects(root, *size, class_names)
        if boxes := [thing.box for thing in objects if not thing.difficult]:
            yield size, np.float32(boxes)


@functools.partial(jax.jit, static_argnames="bucket")
def anchor_labels(size, gt, gt_valid, *, bucket):
    anchors = jnp.asarray(grid_anchors(base_anchors(), (bucket[0] // 16, bucket[1] // 16), stride=16))
    return match(pairwise_iou(anchors, gt), inside(anchors, size), gt_valid, **RULE).label


def real_boxes(photos, assigned):
    ious, moved, differ, labelled = [], [], 0, 0
    for (size, boxes), bucket in zip(photos, assigned, strict=True):
        scale = np.float32(resize_scale(*size, **SIDES))
        ours, smaller = boxes * scale, boxes * scale - (scale - 1) * ONE_LESS
        ious += list((smaller[:, 2:] - smaller[:, :2]).prod(axis=1) / (ours[:, 2:] - ours[:, :2]).prod(axis=1))
        moved.append(np.floor(ours / 16 + 0.5) != np.floor((ours - scale * ONE_LESS) / 16 + 0.5))
        labels = []
        for gt in (ours, smaller):
            slots, _, valid = pad_ground_truth(gt, np.ones(len(gt), np.int32), max_gt=64)
            resized = jnp.float32([size[0] * scale, size[1] * scale])
            labels.append(np.asarray(anchor_labels(resized, slots, valid, bucket=bucket)))
        differ, labelled = differ + (labels[0] != labels[1]).sum(), labelled + (labels[0] >= 0).sum()
    edges = np.concatenate(moved)[:, 2:]
    print(f"{len(ious)} real boxes scaled before 1 is added: mean IoU {np.mean(ious):.4f} with ours; ", end="")
    print(f"{differ} of {labelled} anchor labels differ ({differ / labelled:.2%})")
    print(f"real ground truth appended to the proposals: {edges.mean():.1%} of {edges.size} edges in another cell")


def real_epochs(photos, assigned):
    """There pairs are of photos both lying or both standing, and each is seen once as it is and once mirrored."""
    groups = np.array([width >= height for (height, width), _ in photos])
    buckets = np.unique(assigned, axis=0, return_inverse=True)[1]
    apart = [(buckets[groups == kind][:, None] != buckets[groups == kind]).mean() for kind in np.unique(groups)]
    share = np.average(apart, weights=np.unique(groups, return_counts=True)[1])
    print(f"pairs: {share:.1%} of those drawn there have photos of two buckets; here none")
    mirrored = np.zeros(len(photos))
    for epoch in range(28):  # the 70,000 steps of two images
        for batch in buckets.train_plan(assigned, batch_size=1, seed=3, epoch=epoch):
            mirrored[batch.image_id] += batch.flip
    print(
        f"mirrored in 28 epochs: {mirrored.mean():.1f} times, standard deviation {mirrored.std():.1f}; there 14 times"
    )


def main(_, folders):
    rng = np.random.default_rng(0)
    proposed = proposals(rng)
    scaled_truth()
    pooling(rng, proposed)
    rounding(rng)
    untouched(rng)
    thresholds(rng)
    rounded_scores(rng)
    ties()
    for folder in folders:
        photos = list(annotations(folder))
        assigned = buckets.assign_buckets(np.array([size for size, _ in photos]), **SIDES)
        real_boxes(photos, assigned)
        real_epochs(photos, assigned)


if __name__ == "__main__":
    run(main, takes_files=True)
