"""File names for any text, such as the name of a class."""

import hashlib
from urllib.parse import quote

UNSAFE = frozenset('/\\:*?"<>|%')  # on Linux or elsewhere; % marks the encoded characters
MAX_BYTES = 200  # file systems take 255


def safe_file_name(stem: str, suffix: str) -> str:
    """Return `stem` and `suffix` as the name of a file, other for every other stem.

    Characters that cannot be part of a file name are percent-encoded, as is a leading dot: cabinet/shelf becomes
    cabinet%2Fshelf. A long stem ends with a hash of the whole.
    """
    name = "".join(
        quote(character, safe="", errors="surrogatepass")
        if character in UNSAFE or not character.isprintable()
        else character
        for character in stem
    )
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    encoded = name.encode()
    if len(encoded) > MAX_BYTES:
        digest = hashlib.sha256(encoded).hexdigest()[:16]
        name = f"{encoded[: MAX_BYTES - 20].decode(errors='ignore')}%{digest}"
    return name + suffix
