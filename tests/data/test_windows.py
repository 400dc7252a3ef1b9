"""Windows sampled from a whole split: the table against a plain loop, counts, determinism, the rows of a batch."""

import itertools

import jax
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.data.pipeline import InputOptions
from jaxdet.data.windows import window_batches, window_table
from jaxdet.ops.boxes_np import box_iou
from jaxdet.types import Annotation, ProposalTable, Record

SIZES = np.array([(75, 100), (101, 75), (50, 103), (120, 120), (47, 61), (80, 60)], np.int32)
COUNTS = [30, 0, 20, 25, 12, 10]  # proposals
RULE = {"positive_iou": 0.5, "negative_iou": (0.0, 0.5), "use_difficult": True, "drop_empty": False}


class Images:
    """A types.Dataset of six images; image i has i % 3 objects, the first difficult, so 0 and 3 have none."""

    image_sizes = SIZES

    def __init__(self):
        self.decoded = []

    def __len__(self):
        return len(SIZES)

    def annotations(self, i):
        boxes = random_boxes(i, i % 3, seed=1)
        number = np.arange(len(boxes), dtype=np.int32)
        return Annotation(f"image{i}", boxes, labels=number + 1, difficult=number == 0)

    def __getitem__(self, i):
        self.decoded.append(i)
        image = np.random.default_rng(i).integers(1, 256, (*SIZES[i], 3), np.uint8)
        objects = self.annotations(i)
        return Record(objects.name, objects.boxes, objects.labels, objects.difficult, image)


def random_boxes(i, count, *, seed):
    rng, side = np.random.default_rng((seed, i)), SIZES[i][::-1]
    corner = rng.uniform(0, 0.4, (count, 2)) * side
    return np.concatenate([corner, corner + rng.uniform(0.3, 0.6, (count, 2)) * side], axis=1).astype(np.float32)


TABLE = ProposalTable(
    np.concatenate([random_boxes(i, count, seed=2) for i, count in enumerate(COUNTS)]),
    np.concatenate([[0], np.cumsum(COUNTS)]).astype(np.int64),
)


def expected_windows(*, positive_iou, negative_iou, use_difficult, drop_empty):
    """Return two sets of (image, label, box): positives and background, window by window."""
    positives, background = set(), set()
    for i in range(len(SIZES)):
        objects = Images().annotations(i)
        used = [g for g in range(len(objects.boxes)) if use_difficult or not objects.difficult[g]]
        if drop_empty and not used:
            continue
        for box in [*TABLE[i], *objects.boxes[used]]:
            overlaps = {g: float(box_iou(box, objects.boxes[g])) for g in used}
            best = max(overlaps, key=overlaps.get, default=None)
            if used and overlaps[best] >= positive_iou:
                positives.add((i, int(objects.labels[best]), *box.tolist()))
            elif not used or negative_iou[0] <= overlaps[best] < negative_iou[1]:
                background.add((i, 0, *box.tolist()))
    return positives, background


def rows_of(windows):
    return [
        (int(i), int(label), *box.tolist())
        for i, label, box in zip(windows.image_id, windows.labels, windows.boxes, strict=True)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"positive_iou": 0.6, "negative_iou": (0.1, 0.3)},
        {"use_difficult": False},
        {"drop_empty": True},
        {"use_difficult": False, "drop_empty": True},
    ],
    ids=str,
)
def test_every_window_can_be_sampled_and_has_the_label_of_its_best_object(change):
    rule = RULE | change
    positives, background = expected_windows(**rule)
    table = window_table(Images(), TABLE, **rule)
    assert len(table.positives) == len(positives) and len(table.negatives) == len(background)
    sampled = table.sample(seed=0, step=0, count=4000, positive_fraction=0.5)
    assert set(rows_of(sampled)[:2000]) == positives
    assert set(rows_of(sampled)[2000:]) == background


def test_a_quarter_is_positive_and_each_window_is_as_likely_as_another():
    table = window_table(Images(), TABLE, **RULE)
    counts = {}
    for step in range(400):
        sampled = table.sample(seed=3, step=step, count=128, positive_fraction=0.25)
        assert (sampled.labels[:32] > 0).all() and not sampled.labels[32:].any() and len(sampled) == 128
        for row in rows_of(sampled):
            counts[row] = counts.get(row, 0) + 1
    for positive, expected in ((True, 400 * 32 / len(table.positives)), (False, 400 * 96 / len(table.negatives))):
        frequencies = [count for row, count in counts.items() if (row[1] > 0) == positive]
        assert max(abs(count - expected) for count in frequencies) < 5 * expected**0.5


def test_a_sample_depends_on_seed_and_step_only():
    table = window_table(Images(), TABLE, **RULE)

    def sample(seed, step):
        return rows_of(table.sample(seed=seed, step=step, count=16, positive_fraction=0.25))

    assert sample(1, 7) == sample(1, 7)
    assert sample(1, 7) != sample(1, 8) and sample(1, 7) != sample(2, 7) and sample(1, 2) != sample(2, 1)


class WithoutObjects(Images):
    def annotations(self, i):
        return super().annotations(0)


def test_a_split_without_positive_or_without_background_windows_is_refused():
    with pytest.raises(InputError, match="head.sampling=data_set must have positive and .*, got 0 and 97; see"):
        window_table(WithoutObjects(), TABLE, **RULE)
    with pytest.raises(InputError, match="background windows to sample, got 6 and 0; see head.roi_targets"):
        window_table(Images(), ProposalTable(TABLE.boxes[:0], TABLE.starts * 0), **RULE)


def take(count, *, dataset=None, start_step=0, workers=2, **rows):
    dataset = dataset or Images()
    table = window_table(dataset, TABLE, **RULE)
    options = InputOptions(flip=False, max_gt=1, workers=workers, short_side=60, long_side=100)
    sampling = {"batch_size": 16, "positive_fraction": 0.25, "seed": 3}
    batches = window_batches(dataset, table, options, start_step=start_step, **sampling, **rows)
    return list(itertools.islice(batches, count))


def assert_equal(got, want):
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_row_holds_its_resized_image_and_its_scaled_window():
    sampled = window_table(Images(), TABLE, **RULE).sample(seed=3, step=1, count=16, positive_fraction=0.25)
    batch = take(2)[1]
    assert batch.image.shape == (16, 112, 112, 3) and batch.proposals.shape == (16, 1, 4)
    assert batch.image_valid.all() and batch.proposals_valid.all() and not batch.gt_valid.any()
    np.testing.assert_array_equal(batch.image_id, sampled.image_id)
    np.testing.assert_array_equal(batch.labels, sampled.labels)
    np.testing.assert_array_equal(batch.row, np.arange(16))
    assert batch.row.dtype == batch.labels.dtype == batch.image_id.dtype == np.int32
    for row in range(16):
        height, width = batch.image_size[row].astype(int)
        assert batch.image[row, :height, :width].all()
        assert not batch.image[row, height:].any() and not batch.image[row, :, width:].any()
        np.testing.assert_allclose(batch.proposals[row, 0], sampled.boxes[row] * batch.scale[row], atol=0.5)


def test_a_later_start_step_continues_the_same_stream():
    stream = take(6)
    for start in (1, 4):
        for got, want in zip(take(2, start_step=start), stream[start:], strict=False):
            assert_equal(got, want)


def test_processes_share_the_rows_of_a_batch():
    parts = [take(2, process_index=i, process_count=2) for i in range(2)]
    for first, second, whole in zip(*parts, take(2), strict=True):
        assert_equal(jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second), whole)
    with pytest.raises(InputError, match="multiple of the number of processes"):
        take(1, process_count=3)


def test_the_number_of_workers_changes_nothing_and_an_image_is_decoded_once_per_step():
    for got, want in zip(take(3, workers=1), take(3, workers=5), strict=True):
        assert_equal(got, want)
    dataset = Images()
    (batch,) = take(1, dataset=dataset, workers=1)
    first = dataset.decoded[: len(np.unique(batch.image_id))]
    assert sorted(first) == np.unique(batch.image_id).tolist()
