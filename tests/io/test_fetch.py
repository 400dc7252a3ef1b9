"""Small files by their address, from a local server."""

import pytest

from jaxdet.io.download import Unavailable
from jaxdet.io.fetch import fetch, is_address
from tests.io.test_download import CONTENT, nobodys_address, serving


def test_the_content_at_an_address_is_returned():
    with serving() as (address, asked):
        assert fetch(f"{address}/a photo.jpg?x=1&y=é") == CONTENT
    assert asked[0][0] == "/a%20photo.jpg?x=1&y=%C3%A9"


@pytest.mark.parametrize(
    ("path", "served", "limits", "reason"),
    [
        ("/gone", {}, {}, "HTTP Error 404"),
        ("/large", {}, {"max_bytes": 50_000}, "more than 50000 bytes"),
        ("/cut", {"cut": 10}, {}, "(?i)broke off at byte 10 of 100000|incompleteread|10 bytes read"),
        ("/slow", {}, {"max_seconds": -1}, "took more than -1 seconds"),
    ],
)
def test_a_file_that_cannot_be_fetched_has_a_reason(path, served, limits, reason):
    with serving(**served) as (address, _), pytest.raises(Unavailable, match=reason):
        fetch(f"{address}{path}", **limits)


@pytest.mark.parametrize(
    "address", [pytest.param(nobodys_address(), id="nobody answers"), "http://", "http://[", "http://a b/"]
)
def test_wrong_addresses_have_a_reason(address):
    with pytest.raises(Unavailable):
        fetch(address)


def test_only_http_is_an_address():
    assert is_address("http://a") and is_address("HTTPS://a")
    assert not is_address("file:///etc/passwd") and not is_address("ftp://a") and not is_address("a.jpg")
