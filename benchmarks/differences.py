"""Effect of each difference from py-faster-rcnn (docs/differences.md) on realistic generated inputs.

    python -m benchmarks.differences [path/to/VOCdevkit/VOC2012]

With a folder in VOC layout it also measures on the boxes of that folder's trainval; the images are not read. Boxes are
continuous: an inclusive x2 or y2 of py-faster-rcnn is one larger here. The ground truth and image size are those of
tests/golden/targets.npz, everything else is sampled with seed 0. Images are taken to be 375x500, resized by 1.6.
"Original" in the names stands for py-faster-rcnn.
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
RIGHT_BOTTOM = np.float32([0, 0, 1, 1])  # one pixel at the right and bottom
SIZE = jnp.float32([HEIGHT, WIDTH])
MATCHING = {"positive_iou": 0.7, "negative_iou": 0.3, "force_best": True}
GOLDEN = pathlib.Path(__file__).parents[1] / "tests" / "golden"


@functools.cache
def ground_truth():
    with np.load(GOLDEN / "targets.npz") as golden:
        return jnp.asarray(golden["gt_boxes"])


def rpn_outputs(rng):
    """Return anchors, deltas pulled towards the ground truth, and scores, like those of a half-trained network."""
    anchors = jnp.asarray(grid_anchors(base_anchors(), GRID, stride=16))
    iou = np.asarray(pairwise_iou(anchors, ground_truth()))
    near = encode(ground_truth()[iou.argmax(axis=1)], anchors)
    pull = np.where(iou.max(axis=1) > 0.1, rng.uniform(0.3, 0.95, len(iou)), 0.0)[:, None]
    deltas = np.float32(near * pull + rng.normal(0, [0.1, 0.1, 0.5, 0.5], near.shape))
    return anchors, jnp.asarray(deltas), jnp.asarray(iou.max(axis=1) + rng.normal(0, 0.1, len(iou)), jnp.float32)


def decoding(rng):
    """Decoding in the original makes boxes one pixel wider. Returns jaxdet's proposals."""
    anchors, deltas, scores = rpn_outputs(rng)
    decoded = decode(deltas, anchors)
    exact = clip(decoded, SIZE)
    wider = clip(decoded + RIGHT_BOTTOM[None], SIZE)

    def after_nms(boxes, measured):
        """Return the indices of the proposals among `boxes`, and how many of `measured` are large enough."""
        large = (measured[:, 2:] - measured[:, :2]).min(axis=1) >= 16 * SCALE
        best = jnp.argsort(jnp.where(large, scores, -jnp.inf), descending=True)[:12000]
        index, valid = nms(boxes[best], scores[best], large[best], iou_threshold=0.7, max_outputs=2000)
        return set(np.asarray(best)[np.asarray(index)[np.asarray(valid)]].tolist()), int(large.sum())

    ours, large = after_nms(exact, exact)
    original, _ = after_nms(wider, exact)
    smaller, large_in_original = after_nms(exact, wider)
    a, b = np.asarray(exact), np.asarray(wider)
    shared, area = (a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1)
    mean_iou = np.mean(shared[area > 0] / area[area > 0])
    print(f"decoded one pixel wider: mean IoU {mean_iou:.4f}; ", end="")
    print(f"{len(ours - original)} of {len(ours)} proposals differ after NMS")
    print(f"minimum size: {large_in_original - large} of {len(a)} boxes pass in the original only; ", end="")
    print(f"{len(ours - smaller)} of {len(ours)} proposals differ after NMS")
    return np.array([a[i] for i in sorted(ours)])


def scaled_ground_truth():
    """The original scales inclusive corners and adds 1 afterwards, so its boxes are SCALE - 1 pixels smaller."""
    anchors = jnp.asarray(grid_anchors(base_anchors(), GRID, stride=16))
    smaller = ground_truth() - (SCALE - 1) * RIGHT_BOTTOM[None]
    labels = [
        np.asarray(match(pairwise_iou(anchors, gt), inside(anchors, SIZE), jnp.ones(len(gt), bool), **MATCHING).label)
        for gt in (ground_truth(), smaller)
    ]
    iou = np.diagonal(pairwise_iou(ground_truth(), smaller))
    print(f"ground truth scaled before 1 is added: mean IoU {iou.mean():.4f}; ", end="")
    print(f"{(labels[0] != labels[1]).sum()} of {(labels[0] >= 0).sum()} anchor labels differ")


def print_pooling(name, features, ours, original):
    """Print how the pooled features of two versions of the same RoIs differ."""
    moved = np.floor(ours / 16 + 0.5) != np.floor(original / 16 + 0.5)
    a, b = (np.asarray(roi_max_pool(features, jnp.asarray(boxes, jnp.float32))) for boxes in (ours, original))
    print(f"{name}: {moved[:, 2:].mean():.1%} of {2 * len(ours)} right and bottom edges in another cell, ", end="")
    print(f"{(a != b).mean():.1%} of the pooled values differ, by {np.abs(a - b).mean() / b.mean():.1%} on average")


def pooling(rng, proposals):
    """The original pools inclusive boxes and clips proposals to W - 1 and H - 1."""
    noise = cv2.GaussianBlur(rng.normal(size=(*GRID, 64)).astype(np.float32), (0, 0), 1.0)
    features = jnp.maximum(noise, 0)
    corner = rng.uniform(0, [WIDTH - 220, HEIGHT - 220], (1000, 2))
    objects = np.concatenate([corner, corner + rng.uniform(20, 200, (1000, 2))], axis=1)
    print_pooling("RoI pooling of appended ground truth", features, objects, objects - SCALE * RIGHT_BOTTOM)
    clipped = np.minimum(proposals, [WIDTH - 1, HEIGHT - 1] * 2)  # inside the border the decoded numbers are the same
    print_pooling("RoI pooling of clipped proposals", features, proposals, clipped)


def rounding(rng):
    """The original resizes images as floats."""
    spectrum = np.fft.rfft2(rng.normal(size=(375, 500, 3)), axes=(0, 1))
    frequency = np.hypot(np.fft.fftfreq(375)[:, None], np.fft.rfftfreq(500)[None, :])[..., None]
    natural = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / 500), s=(375, 500), axes=(0, 1))
    image = np.clip(127 + 55 * natural / natural.std(), 0, 255).astype(np.uint8)
    exact = cv2.resize(image.astype(np.float32), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_LINEAR)
    error = cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_LINEAR) - exact
    print(f"uint8 after resizing: {np.abs(error).mean():.3f} grey levels on average, {np.abs(error).max():.2f} at most")


def untouched(rng):
    """In the original a ground truth that no anchor touches makes every anchor of IoU 0 positive."""
    anchors = jnp.asarray(grid_anchors(base_anchors(), GRID, stride=16))
    anchors = anchors[np.asarray(inside(anchors, SIZE))]
    print(f"ground truth that none of {len(anchors)} anchors in the image touches, of 10000 boxes:", end="")
    for side in (4, 8, 16):
        corner = rng.uniform(0, [WIDTH - side, HEIGHT - side], (10_000, 2)).astype(np.float32)
        iou = pairwise_iou(jnp.asarray(np.concatenate([corner, corner + side], axis=1)), anchors)
        print(f" {int((np.asarray(iou).max(axis=1) == 0).sum())} of side {side}", end="")
    print()


def thresholds(rng):
    """IoU exactly at a threshold: objects of whole pixels, boxes in whole pixels, tenths (result files) or any."""
    corner = rng.integers(0, 300, (200_000, 2))
    objects = np.concatenate([corner, corner + rng.integers(10, 200, (200_000, 2))], axis=1).astype(np.float32)
    near = objects + rng.normal(0, 0.15, objects.shape) * np.tile(objects[:, 2:] - objects[:, :2], 2)
    for name, digits in (("whole pixels", 0), ("tenths", 1), ("any", 6)):
        boxes = np.round(near, digits).astype(np.float32)
        width, height = (np.minimum(objects, boxes)[:, 2:] - np.maximum(objects, boxes)[:, :2]).clip(0).T
        area = [(b[:, 2:] - b[:, :2]).clip(0).prod(axis=1) for b in (objects, boxes)]
        iou = width * height / (area[0] + area[1] - width * height)
        counts = [f"{int((iou == np.float32(t)).sum())} at {t}" for t in (0.3, 0.5, 0.7)]
        print(f"IoU exactly at a threshold, {len(iou)} pairs, {name}: {', '.join(counts)}")


def rounded_scores(rng):
    """The original computes mAP from scores of three digits."""
    images, per_image = 1000, 30
    corner = rng.uniform(0, 300, (images, 2))
    objects = np.concatenate([corner, corner + 100], axis=1).astype(np.float32)
    image = np.repeat(np.arange(images), per_image)
    boxes = objects[image] + rng.normal(0, 1, (len(image), 4)) * rng.choice([8, 60], (len(image), 1), p=[0.05, 0.95])
    iou_like = 1 - np.abs(boxes - objects[image]).mean(axis=1) / 50
    scores = (1 / (1 + np.exp(-6 * (iou_like - 0.6) - rng.normal(0, 1, len(image))))).astype(np.float32)
    label, difficult = np.ones(len(image), np.int32), np.zeros(images, bool)
    truth = GroundTruthTable(
        image=np.arange(images), boxes=objects, labels=np.ones(images, np.int32), difficult=difficult
    )
    for metric in ("voc07", "voc10"):
        ap = [
            average_precision(
                DetectionTable(image=image, boxes=boxes.astype(np.float32), labels=label, scores=s),
                truth, num_classes=1, metric=metric,
            )[0]
            for s in (scores, np.round(scores, 3))
        ]  # fmt: skip
        print(f"scores to three digits: {metric} {ap[0]:.5f} -> {ap[1]:.5f}")


def ties():
    """The original keeps all ties with the 100th detection of an image: here 702 detections of one image."""
    with np.load(GOLDEN / "sf_detector.npz") as golden:
        scores = np.sort(golden["eval/detections/scores"])[::-1]
    print(f"ties: {(scores >= scores[99]).sum() - 100} more than 100 detections, ", end="")
    print(f"{len(scores) - len(np.unique(scores))} of {len(scores)} scores equal another")


def annotations(folder):
    """Yield (height, width) and boxes f32[G,4] of each image of trainval, without the difficult objects."""
    folder = voc_layout.find_devkit(folder)
    class_names = voc_layout.find_class_names(folder)
    for name in voc_layout.read_split(folder, "trainval"):
        root = read_xml(folder / "Annotations" / f"{name}.xml")
        size = annotated_size(root)
        objects, _ = read_objects(root, *size, class_names)
        if boxes := [entry.box for entry in objects if not entry.difficult]:
            yield size, np.float32(boxes)


@functools.partial(jax.jit, static_argnames="bucket")
def anchor_labels(size, gt, gt_valid, *, bucket):
    anchors = jnp.asarray(grid_anchors(base_anchors(), (bucket[0] // 16, bucket[1] // 16), stride=16))
    return match(pairwise_iou(anchors, gt), inside(anchors, size), gt_valid, **MATCHING).label


def real_boxes(images, assigned):
    """Scaled ground truth and its RoI pooling on real boxes."""
    ious, moved, differ, labelled = [], [], 0, 0
    for (size, boxes), bucket in zip(images, assigned, strict=True):
        scale = np.float32(resize_scale(*size, **SIDES))
        ours, smaller = boxes * scale, boxes * scale - (scale - 1) * RIGHT_BOTTOM
        ious += list((smaller[:, 2:] - smaller[:, :2]).prod(axis=1) / (ours[:, 2:] - ours[:, :2]).prod(axis=1))
        moved.append(np.floor(ours / 16 + 0.5) != np.floor((ours - scale * RIGHT_BOTTOM) / 16 + 0.5))
        labels = []
        for gt in (ours, smaller):
            slots, _, valid = pad_ground_truth(gt, np.ones(len(gt), np.int32), max_gt=64)
            resized = jnp.float32([size[0] * scale, size[1] * scale])
            labels.append(np.asarray(anchor_labels(resized, slots, valid, bucket=bucket)))
        differ, labelled = differ + (labels[0] != labels[1]).sum(), labelled + (labels[0] >= 0).sum()
    edges = np.concatenate(moved)[:, 2:]
    print(f"{len(ious)} real boxes scaled before 1 is added: mean IoU {np.mean(ious):.4f}; ", end="")
    print(f"{differ} of {labelled} anchor labels differ ({differ / labelled:.2%})")
    print(f"real ground truth appended to the proposals: {edges.mean():.1%} of {edges.size} edges in another cell")


def real_epochs(images, assigned):
    """The original pairs images that are both landscape or both portrait; each is seen as it is and mirrored."""
    landscape = np.array([width >= height for (height, width), _ in images])
    bucket = np.unique(assigned, axis=0, return_inverse=True)[1]
    differ = [(bucket[landscape == kind][:, None] != bucket[landscape == kind]).mean() for kind in np.unique(landscape)]
    share = np.average(differ, weights=np.unique(landscape, return_counts=True)[1])
    print(f"pairs: {share:.1%} of the original's have images of two buckets; none here")
    mirrored = np.zeros(len(images))
    for epoch in range(28):  # the 70,000 steps of two images
        for batch in buckets.train_plan(assigned, batch_size=1, seed=3, epoch=epoch):
            mirrored[batch.image_id] += batch.flip
    print(f"mirrored in 28 epochs: {mirrored.mean():.1f} times, standard deviation {mirrored.std():.1f}; ", end="")
    print("14 times in the original")


def main(_, folders):
    rng = np.random.default_rng(0)
    proposals = decoding(rng)
    scaled_ground_truth()
    pooling(rng, proposals)
    rounding(rng)
    untouched(rng)
    thresholds(rng)
    rounded_scores(rng)
    ties()
    for folder in folders:
        images = list(annotations(folder))
        assigned = buckets.assign_buckets(np.array([size for size, _ in images]), **SIDES)
        real_boxes(images, assigned)
        real_epochs(images, assigned)


if __name__ == "__main__":
    run(main, takes_files=True)
