"""Class names: one spelling for each, and a form that fits the files that list them one per line."""

import unicodedata

MAX_LENGTH = 100  # characters
ZERO_WIDTH = dict.fromkeys((0xAD, 0x200B, 0x2060, 0xFEFF))  # invisible characters that do not join letters
CONTROLS = ("Cc", "Cs")  # Unicode's categories of control characters and of halves of a character
OVERRIDES = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # they reverse the text that follows


def normalise(text: str) -> str:
    """Return a class name in Unicode's NFC, without white space at its ends and with one space for any inside.

    Line breaks are white space. '' where nothing is left.

    Raises:
      ValueError: it has control characters or more than MAX_LENGTH characters; the message is the reason.
    """
    name = " ".join(unicodedata.normalize("NFC", text.translate(ZERO_WIDTH)).split())
    if len(name) > MAX_LENGTH:
        raise ValueError(f"has {len(name)} characters, more than {MAX_LENGTH}")
    for character in name:
        if unicodedata.category(character) in CONTROLS or unicodedata.bidirectional(character) in OVERRIDES:
            raise ValueError(f"has the control character {ascii(character)}")
    return name
