"""The wording of errors: what, got, cure."""

import jax.numpy as jnp
import pytest

from jaxdet.checks import InputError, bind, check_array, nearest


def scale(x, *, factor, offset=0):
    return factor * x + offset


def test_bind_makes_a_section_the_arguments():
    assert bind(scale, {"factor": 3}, section="scale", offset=1)(2) == 7


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"factor": 1, "ofset": 2}, "config scale: no field 'ofset'; did you mean 'offset'?"),
        ({"factor": 1, "x": 2}, "config scale: no field 'x'; valid names: factor, offset"),
        ({}, "config scale: field 'factor' is missing; scale needs it."),
    ],
)
def test_bind_refuses(section, message):
    with pytest.raises(InputError) as error:
        bind(scale, section, section="scale")
    assert str(error.value) == message


def test_check_array_names_what_got_and_cure():
    check_array("match: iou", jnp.zeros((3, 2)), shape=("N", "G"), dtype=jnp.float32, cure="-")
    for wrong in (jnp.zeros(3), jnp.zeros((3, 2), jnp.int32)):
        with pytest.raises(ValueError, match=r"match: iou must be float32\[N,G\], got .*; pass pairwise_iou\."):
            check_array("match: iou", wrong, shape=("N", "G"), dtype=jnp.float32, cure="pass pairwise_iou")
    with pytest.raises(ValueError, match=r"must be float32\[N,4\]"):
        check_array("boxes", jnp.zeros((3, 5)), shape=("N", 4), dtype=jnp.float32, cure="-")


def test_nearest():
    assert nearest("lerning_rate", ["learning_rate", "momentum"]) == "did you mean 'learning_rate'?"
    assert nearest("xyz", ["b", "a"]) == "valid names: a, b"
