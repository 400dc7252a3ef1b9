"""Class names: one spelling for each, and a form that fits the files that list them one per line."""

import unicodedata

from jaxdet.checks import InputError

MAX_LENGTH = 100  # characters
RESERVED = "N/A"  # the COCO detector's outputs without a category; never shown
ZERO_WIDTH = dict.fromkeys((0xAD, 0x200B, 0x2060, 0xFEFF))  # invisible characters that do not join letters
CONTROLS = ("Cc", "Cs")  # Unicode's categories of control characters and of halves of a character
OVERRIDES = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # they reverse the text that follows


def normalise(text: str) -> str:
    """Return a class name in Unicode's NFC, without white space at its ends and with one space for any inside.

    Line breaks are white space. '' where nothing is left.

    Raises:
      ValueError: it has control characters or more than MAX_LENGTH characters, or is RESERVED; the message is the
        reason.
    """
    name = " ".join(unicodedata.normalize("NFC", text.translate(ZERO_WIDTH)).split())
    if len(name) > MAX_LENGTH:
        raise ValueError(f"has {len(name)} characters, more than {MAX_LENGTH}")
    if name == RESERVED:
        raise ValueError("marks an output without a class; rename it")
    for character in name:
        if unicodedata.category(character) in CONTROLS or unicodedata.bidirectional(character) in OVERRIDES:
            raise ValueError(f"has the control character {ascii(character)}")
    return name


def parse_names(class_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the normalised class names that a user gives, such as ("cat", "dog") or, as one text, ("cat,dog",).

    () where none is given.

    Raises:
      InputError: a name cannot be used, or a class is named twice.
    """
    if len(class_names) == 1 and "," in class_names[0]:
        text = class_names[0].strip()
        if (text[0], text[-1]) in (("(", ")"), ("[", "]")):
            text = text[1:-1]
        class_names = tuple(name.strip(" '\"") for name in text.split(","))
    names = []
    for name in class_names:
        try:
            names.append(normalise(name))
        except ValueError as error:
            raise InputError(f"class_names: {name[:80]!r} {error}; name the class as its annotations do.") from error
    names = [name for name in names if name]
    if len(set(names)) != len(names):
        raise InputError(f"class_names must differ, got {tuple(names)}; name each class once.")
    return tuple(names)
