"""Each option changes the losses or boxes as defined, by values computed by hand.

The net is a toy whose outputs are its parameters: 4 x 6 cells of 16 pixels, one anchor of 32 x 32 pixels per cell. The
one object lies exactly on the anchor of row 1, column 2. Eight anchors lie inside the image; three of them touch the
object and are ignored (IoU 1/3), so five are sampled.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.data.pipeline import InputOptions, train_batches
from jaxdet.models.faster_rcnn import faster_rcnn
from jaxdet.models.rpn import region_proposal_network
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops.anchors import base_anchors
from jaxdet.types import Record
from tests.models.test_faster_rcnn import HEAD, RPN

pytestmark = pytest.mark.usefixtures("for_cpu")

ROWS, COLUMNS = 4, 6
OBJECT = (24, 8, 56, 40)
PARAMS = {
    "features": np.tile(np.arange(COLUMNS, dtype=np.float32)[:, None], (1, ROWS, 1, 1)),  # the number of the column
    "rpn_deltas": np.float32([0, 0, -1, -1]),  # proposals of 12 pixels, none of which is the object
    "deltas": np.float32([0.5, 0.5, 0.5, 0.5]),
}


def _rpn(params, features):
    anchors = ROWS * COLUMNS
    return jnp.zeros((1, anchors, 2)), jnp.broadcast_to(params["rpn_deltas"], (1, anchors, 4))


def _outputs(params, pooled):
    """Return the mean of the pooled features as the logit of the one class."""
    mean = pooled.mean((2, 3, 4))
    return jnp.stack([jnp.zeros_like(mean), mean], axis=-1), jnp.broadcast_to(params["deltas"], (*mean.shape, 2, 4))


TOY = RegionNet(
    init=lambda key: PARAMS,
    preprocess=lambda image: image,
    features=lambda params, image, size: (params["features"], jnp.int32([[ROWS, COLUMNS]])),
    rpn=_rpn,
    fc7=lambda params, pooled, dropout_keys: pooled,
    outputs=_outputs,
    stride=16,
    pool_size=7,
)


class OneImage:
    """A data set of one image with one object, which is marked difficult."""

    image_sizes = np.int32([[16 * ROWS, 16 * COLUMNS]])
    object_counts = np.int32([0])

    def __len__(self):
        return 1

    def __getitem__(self, i):
        image = np.zeros((16 * ROWS, 16 * COLUMNS, 3), np.uint8)
        return Record("image", np.float32([OBJECT]), np.int32([1]), np.array([True]), image)


def batch(*, use_difficult=True):
    sides = {"short_side": 16 * ROWS, "long_side": 16 * COLUMNS}
    options = InputOptions(flip=False, max_gt=1, workers=1, use_difficult=use_difficult, **sides)
    batches = train_batches(OneImage(), options, start_step=0, batch_size=1, seed=0)
    first = next(batches)
    batches.close()
    return first


RPN_NUMBERS = {"box_weight": 1.0, "sigma": 3.0, "min_size": 4.0, "max_log_scale": 1.0}
HEAD_NUMBERS = {"box_weight": 1.0, "sigma": 1.0, "max_log_scale": 1.0}


@functools.cache
def compiled(function, *, rpn_names=(), head_names=()):
    """Return the model's loss or predict with its numbers as arguments, to compile as few programs as possible."""

    def run(rpn_numbers, head_numbers, *arguments):
        anchors = base_anchors(scales=(2,), ratios=(1,))
        rpn = region_proposal_network(TOY, anchors, **RPN | rpn_numbers | dict(rpn_names))
        detector = faster_rcnn(TOY, rpn, **HEAD | head_numbers | dict(head_names))
        return getattr(detector, function)(*arguments)

    return jax.jit(run)


def losses(image_batch=None, *, rpn=None, head=None):
    """Return the losses with changed options of the RPN or the head; names and flags need another program."""

    def split(numbers, changes):
        changes = changes or {}
        names = tuple(item for item in changes.items() if item[0] not in numbers)
        return numbers | {name: value for name, value in changes.items() if name in numbers}, names

    (rpn_numbers, rpn_names), (head_numbers, head_names) = split(RPN_NUMBERS, rpn), split(HEAD_NUMBERS, head)
    loss = compiled("loss", rpn_names=rpn_names, head_names=head_names)
    _, metrics = loss(rpn_numbers, head_numbers, PARAMS, image_batch or batch(), jax.random.key(0))
    return {name: float(value) for name, value in metrics.items()}


# |error| is 1 in dw and dh of one anchor of five, and 0.5 in all four deltas of one RoI of sixteen, the object.
PLAIN = {"rpn_box_loss": 2 * (1 - 1 / 18) / 5, "box_loss": 4 * 0.5 * 0.5**2 / 16, "objectness_loss": np.log(2)}


@pytest.mark.parametrize(
    ("rpn", "head", "expected"),
    [
        ({}, {}, {}),
        ({"box_weight": 10.0}, {}, {"rpn_box_loss": 10 * PLAIN["rpn_box_loss"]}),
        ({"sigma": 1.0}, {}, {"rpn_box_loss": 2 * 0.5 / 5}),
        ({}, {"box_weight": 10.0}, {"box_loss": 10 * PLAIN["box_loss"]}),
        ({}, {"sigma": 3.0}, {"box_loss": 4 * (0.5 - 1 / 18) / 16}),
        # No proposal is left, only the object: the seven columns of max pooling are 2 2 3 3 4 4 4.
        ({"min_size": 12.0}, {}, {"box_loss": 16 * PLAIN["box_loss"], "class_loss": np.log1p(np.exp(-22 / 7))}),
        # All 24 anchors, of which four are ignored.
        ({"cross_boundary_anchors": True}, {}, {"rpn_box_loss": PLAIN["rpn_box_loss"] * 5 / 20}),
        # Two options that change different losses. RoIAlign's mean is the value at the middle, 2.5 cells.
        (
            {"box_normaliser": "locations", "min_size": 12.0},
            {"roi_pooling": "align"},
            {
                "rpn_box_loss": PLAIN["rpn_box_loss"] * 5 / 24,
                "box_loss": 16 * PLAIN["box_loss"],
                "class_loss": np.log1p(np.exp(-2.5)),
            },
        ),
    ],
)
def test_an_option_changes_the_losses_as_defined(rpn, head, expected):
    expected = PLAIN | expected
    got = losses(rpn=rpn, head=head)
    assert {name: got[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_use_difficult_trains_on_objects_marked_difficult():
    without = losses(batch(use_difficult=False))
    assert without["rpn_box_loss"] == without["box_loss"] == 0
    assert losses(batch(use_difficult=True))["box_loss"] == pytest.approx(PLAIN["box_loss"], rel=1e-5)


@pytest.mark.parametrize(("limit", "side"), [(1.0, 32 * np.exp(0.3 + 0.2)), (0.1, 32 * np.exp(0.1 + 0.1))])
def test_max_log_scale_limits_proposals_and_detections(limit, side):
    params = PARAMS | {"rpn_deltas": np.float32([0, 0, 0.3, 0.3]), "deltas": np.float32([0, 0, 1, 1])}
    limits = {"max_log_scale": limit}
    detections = compiled("predict")(RPN_NUMBERS | limits, HEAD_NUMBERS | limits, params, batch())
    boxes = np.asarray(detections.boxes)[np.asarray(detections.valid)]
    sides = boxes[:, 2:] - boxes[:, :2]
    assert len(boxes) and sides.max() == pytest.approx(side, rel=1e-5)  # the largest is not clipped
