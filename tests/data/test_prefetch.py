import itertools
import threading

import numpy as np
import pytest

from jaxdet.data.collate import empty_batch
from jaxdet.data.prefetch import AHEAD, prefetch


def input_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("input")]


def numbered(taken, *, broken=-1):
    """Yield batches of two rows without end; the tasks of batch i write i into its rows."""
    for i in itertools.count():
        taken.append(i)
        batch = empty_batch((1, 1), 2, max_gt=1, max_proposals=0)

        def fill(row, i=i, batch=batch):
            if i == broken:
                raise OSError("the disk is gone")
            batch.image_id[row] = i

        yield batch, [lambda row=row, fill=fill: fill(row) for row in range(2)]


def test_batches_come_in_order_filled_and_are_taken_ahead():
    taken = []
    for i, batch in enumerate(itertools.islice(prefetch(numbered(taken), workers=2), 5)):
        np.testing.assert_array_equal(batch.image_id, [i, i])
        assert taken == list(range(i + 1 + AHEAD))


def test_the_error_of_a_task_is_raised_at_its_batch_and_ends_the_threads():
    batches = prefetch(numbered([], broken=2), workers=2)
    assert [batch.image_id[0] for batch in itertools.islice(batches, 2)] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert not input_threads()


def test_closing_the_iterator_ends_the_threads():
    batches = prefetch(numbered([]), workers=2)
    next(batches)
    assert input_threads()
    batches.close()
    assert not input_threads()
