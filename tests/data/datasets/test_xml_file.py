import os

import pytest

from jaxdet.data.datasets import xml_file
from jaxdet.data.datasets.xml_file import Unusable, read_root


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no element found: line 1, column 0"),
        (b"<annotation>", "no element found: line 1, column 12"),
        (b"<a></b>", "mismatched tag: line 1, column 5"),
        (b"<a>\n<filename>cats & dogs.jpg</filename></a>", "line 2, column 16"),
        (b"\x00", "line 1"),
        (b'<?xml version="1.0" encoding="nope"?><a/>', "unknown encoding 'nope'; save it as UTF-8"),
        (b'<?xml version="1.0" encoding="zlib"?><a/>', "does not parse"),
        (b'<?xml version="1.0" encoding="gb2312"?><a>\xff</a>', "it declares 'gb2312' but is not in that encoding"),
        (b"<a>\n\xe9</a>", "it declares no encoding and is not UTF-8: byte 0xe9 in line 2"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path, content, reason):
    (tmp_path / "a.xml").write_bytes(content)
    with pytest.raises(Unusable, match="annotation does not parse") as error:
        read_root(tmp_path / "a.xml")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "UTF-8", "gb2312", "GBK", "gb18030", "big5", "euc-kr", "shift_jis", "latin-1", "utf-16", "cp1252"],
)
def test_encodings_are_decoded(encoding):
    text = "\u6d4b" if encoding.lower() in ("gb2312", "gbk", "gb18030", "utf-8", "utf-16") else "A"
    text = {"euc-kr": "\ud55c", "big5": "\u4e2d", "shift_jis": "\u3042", "cp1252": "\u20ac"}.get(encoding, text)
    content = f'<?xml version="1.0" encoding="{encoding}"?>\n<a>{text}</a>'.encode(encoding)
    assert read_root(content).text == text


@pytest.mark.parametrize("end", [b"", b"?>"])
@pytest.mark.parametrize("part", [b'encoding="a" ', b"encoding=", b"encoding ", b'encoding="', b" "])
def test_a_declaration_of_a_megabyte_is_refused_at_once(part, end):
    with pytest.raises(Unusable, match="annotation does not parse"):
        read_root(b"<?xml " + part * (10**6 // len(part)) + end)


def test_a_byte_order_mark_is_no_fault():
    assert read_root("<a>\u00e9</a>".encode("utf-8-sig")).text == "\u00e9"


def test_entities_are_refused():
    for declaration in ('<!ENTITY b "cat">', '<!ENTITY b SYSTEM "file:///etc/passwd">'):
        with pytest.raises(Unusable, match="entities"):
            read_root(f"<!DOCTYPE a [{declaration}]><annotation>&b;</annotation>".encode())


def test_what_is_no_regular_file_is_named(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.xml")
    (tmp_path / "zero.xml").symlink_to("/dev/zero")
    (tmp_path / "folder.xml").mkdir()
    (tmp_path / "loop.xml").symlink_to(tmp_path / "loop.xml")
    for name, reason in {"pipe": "named pipe", "zero": "device", "folder": "folder", "loop": "symbolic links"}.items():
        with pytest.raises(Unusable, match=f"annotation cannot be read .*{reason}"):
            read_root(tmp_path / f"{name}.xml")
    monkeypatch.setattr(xml_file, "MAX_BYTES", 10)
    (tmp_path / "large.xml").write_text("<a>1234</a>")
    with pytest.raises(Unusable, match="annotation cannot be read .has 11 bytes, more than 10"):
        read_root(tmp_path / "large.xml")
