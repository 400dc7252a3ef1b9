"""Small files by their address: read into memory, limited in size and time."""

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request

from jaxdet.io.download import BLOCK, TIMEOUT, Unavailable

MAX_BYTES = 100_000_000
MAX_SECONDS = 300  # for the whole file
# Many servers refuse the name of Python's library.
HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; jaxdet)", "Accept": "image/*,*/*;q=0.5"}
AS_IT_IS = "%/:=&?~#+!$,;'@()*[]"  # characters of an address that are not encoded


def is_address(text: str) -> bool:
    """Return whether a text is an address of the web (http or https)."""
    return re.match(r"https?://", text, re.IGNORECASE) is not None


def fetch(address: str, *, max_bytes: int = MAX_BYTES, max_seconds: float = MAX_SECONDS) -> bytes:
    """Return the content at an http or https address.

    Raises:
      Unavailable: the address is wrong, the server does not answer or breaks off, or the file is larger than max_bytes
        or takes longer than max_seconds.
    """
    deadline = time.monotonic() + max_seconds
    content = bytearray()
    try:
        request = urllib.request.Request(urllib.parse.quote(address, safe=AS_IT_IS), headers=HEADERS)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
            announced = reply.headers.get("Content-Length", "")
            size = int(announced) if announced.isdecimal() else None
            while block := reply.read1(BLOCK):
                content += block
                if max(len(content), size or 0) > max_bytes:
                    raise Unavailable(f"it has more than {max_bytes} bytes")
                if time.monotonic() > deadline:
                    raise Unavailable(f"it took more than {max_seconds} seconds")
    except urllib.error.HTTPError as error:  # also an open reply
        error.close()
        raise Unavailable(str(error)) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unavailable(str(getattr(error, "reason", error))) from error
    if size is not None and len(content) != size:
        raise Unavailable(f"broke off at byte {len(content)} of {size}")
    return bytes(content)
