"""The wording of errors: what, got, cure."""

import jax.numpy as jnp
import pytest

from jaxdet.checks import InputError, above_zero, at_least, bind, check_array, install, listed, nearest, one_of


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


def test_one_of_names_the_nearest():
    one_of("net.backbone", "zf", ("vgg16", "zf"))
    with pytest.raises(InputError) as error:
        one_of("net.backbone", "vgg", ("vgg16", "zf"))
    assert str(error.value) == "net.backbone must be one of vgg16, zf, got 'vgg'; did you mean 'vgg16'?"


def test_at_least_gives_the_cure():
    at_least("steps", 1, 1)
    with pytest.raises(InputError, match=r"^steps must be at least 1, got 0\.$"):
        at_least("steps", 0, 1)
    with pytest.raises(InputError, match=r"^steps must be at least 1, got nan; 2000 is usual\.$"):
        at_least("steps", float("nan"), 1, "2000 is usual")


def test_an_extra_has_a_command_for_the_package_and_for_a_clone():
    assert install("plots") == 'pip install "jaxdet[plots]", or in a clone pip install ".[plots]"'


@pytest.mark.parametrize("numbers", [(), (0,), (2, -1), (float("nan"),), (float("inf"),)])
def test_numbers_that_are_not_above_zero_are_refused(numbers):
    above_zero("anchors.scales", (0.1, 2), "(8.0, 16.0)")
    with pytest.raises(InputError, match=r"^anchors\.scales must be one or more numbers above 0, got \(.*; \(8\.0, 16"):
        above_zero("anchors.scales", numbers, "(8.0, 16.0)")


def test_long_lists_are_cut():
    assert listed(["cat", "dog"], 2) == "cat, dog"
    assert listed(["cat", "dog", "cow"], 2) == "cat, dog, ..."
