import unicodedata

import pytest

from jaxdet.checks import InputError
from jaxdet.data.class_names import normalise, parse_names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cat", "cat"),
        (" traffic\r\n\t light ", "traffic light"),
        ("red\u00a0cell\u3000", "red cell"),
        ("\ufeffca\u200bt", "cat"),
        ("a\u2028b", "a b"),
        (unicodedata.normalize("NFD", "caf\u00e9"), "caf\u00e9"),
        ("\U0001f469\u200d\U0001f52c", "\U0001f469\u200d\U0001f52c"),  # one character by its joiner
        (" \n ", ""),
    ],
)
def test_a_name_has_one_spelling(text, name):
    assert normalise(text) == name
    assert normalise(name) == name


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x7f", "\u202e", "\ud800"])
def test_control_characters_are_refused(character):
    with pytest.raises(ValueError, match="has the control character"):
        normalise(f"a{character}b")


def test_long_names_are_refused():
    assert normalise("x" * 100) == "x" * 100
    with pytest.raises(ValueError, match="has 101 characters, more than 100"):
        normalise("x" * 101)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((), ()),
        (("",), ()),
        (("cat",), ("cat",)),
        (("cat,dog",), ("cat", "dog")),
        ((" cat , traffic  light,",), ("cat", "traffic light")),
        (("['cat', 'dog']",), ("cat", "dog")),
        (("cup, broken", "dog"), ("cup, broken", "dog")),  # of several, each is one name
    ],
)
def test_names_may_be_given_as_one_text(given, names):
    assert parse_names(given) == names


def test_names_that_cannot_be_used_are_refused():
    with pytest.raises(InputError, match="class_names must differ"):
        parse_names(("cat", "cat "))
    with pytest.raises(InputError, match="class_names: .* has the control character"):
        parse_names(("a\x1b[2J", "b"))
