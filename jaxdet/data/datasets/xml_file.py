"""Reading an XML file that others wrote: bounded in size, without entities, in any encoding that Python knows."""

import codecs
import re
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from jaxdet.io.regular_file import read_regular

MAX_BYTES = 20_000_000
# Two patterns, as one would need a time that grows with the square of the declaration's length.
DECLARATION = re.compile(rb"\A\s*<\?xml([^>]*)\?>")
ENCODING = re.compile(rb"""encoding\s*=\s*["']([\w.:-]+)["']""")
SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932"}  # files often have characters of these


class Unusable(Exception):
    """An image or an object cannot be used. The message is the reason shown in the summary."""


def read_root(source: Path | bytes) -> Element:
    """Parse an XML file, or its content, and return its root element.

    Raises:
      Unusable: it cannot be read, has more than MAX_BYTES, does not parse, or has entities. Where it does not parse,
        the reason has line and column.
    """
    try:
        content = source if isinstance(source, bytes) else read_regular(source, max_bytes=MAX_BYTES)
    except OSError as error:
        raise Unusable(f"annotation cannot be read ({error.strerror})") from error
    try:
        root = defusedxml.ElementTree.fromstring(_as_parsable(content))
    except DefusedXmlException as error:
        raise Unusable("annotation carries XML entities") from error
    except (ParseError, ValueError, LookupError) as error:
        raise Unusable(f"annotation does not parse ({_encoding_fault(content) or error})") from error
    if root is None:
        raise Unusable("annotation does not parse")
    return root


def _as_parsable(content: bytes) -> bytes:
    """Return the content as UTF-8 where it declares an encoding that the parser lacks, such as GB2312."""
    name = _declared_encoding(content)
    if not name:
        return content
    try:
        codec = codecs.lookup(SUPERSETS.get(name.replace("-", "_"), name)).name
        if codec == "utf-8" or codec.startswith(("utf-16", "iso8859-1", "ascii")):
            return content
        text = str(content, codec)
    except LookupError as error:
        raise ValueError(f"unknown encoding {name!r}; save it as UTF-8") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"it declares {name!r} but is not in that encoding: {error.reason}") from error
    return re.sub(r"\A\s*<\?xml[^>]*\?>", "", text).encode()


def _declared_encoding(content: bytes) -> str:
    """Return the encoding that the content declares, in lower case; '' for none."""
    declaration = DECLARATION.match(content)
    encoding = ENCODING.search(declaration[1]) if declaration else None
    return encoding[1].decode("ascii", "replace").lower() if encoding else ""


def _encoding_fault(content: bytes) -> str:
    """Return why the content is no UTF-8, where it is neither that nor declared as anything else."""
    if not _declared_encoding(content) and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            return f"it declares no encoding and is not UTF-8: byte {content[error.start]:#x} in line {line}"
    return ""
