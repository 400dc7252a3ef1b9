"""A web page on this machine: photos dropped on it are shown with a detector's boxes."""

import http.server
import ipaddress
import json
import logging
import socket
import sys
import threading
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jaxdet.checks import InputError
from jaxdet.data import image_file
from jaxdet.load import LoadedDetector, Published
from jaxdet.prediction.choose import check_choice, open_detector, pixel_limit
from jaxdet.prediction.results import as_rows

log = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("page.html")
MAX_BYTES = 50_000_000  # of a photo
MAX_PHOTOS = 100  # on the page
MAX_REQUESTS = 8  # that hold a photo in memory, one of which is detected on
SLOW = 30  # seconds without a byte, after which a connection is closed
SCORES, MARGINS = (0.05, 1.0), (-1.0, 2.0)  # the threshold's range, for probabilities and the margins of SVMs
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src blob: data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def serve(
    workdir: str | None,
    published: Published | None,
    *,
    checkpoint: str,
    host: str,
    port: int,
    max_pixels: int | None = None,
) -> None:
    """Serve the page until Ctrl-C.

    Args:
      workdir: a workdir, one of its checkpoints, or an exported file.
      published: a published detector in place of a workdir.
      checkpoint: 'best', 'last' or a saved step.
      host: name or address of this machine to listen at; others reach it unless it is a loopback address.
      port: 0 takes a free one.
      max_pixels: larger photos are refused; None for the run's dataset.max_pixels.

    Raises:
      InputError: no such workdir or checkpoint, or the address is not this machine's or is in use.
    """
    check_choice(workdir, published)
    try:
        server = Server(host, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"--host and --port must be free, got {host}:{port} ({reason}); choose another one."
        ) from error
    with server:
        detector = open_detector(workdir, published, checkpoint=checkpoint)
        server.show(detector, name=published.name if published else str(workdir), max_pixels=max_pixels)
        log.info("detections at %s; press Ctrl-C to end", server.address)
        if not server.is_local:
            log.warning("everybody who reaches this machine can use it: --host=%s", host)
        server.serve_forever()


class Server(http.server.ThreadingHTTPServer):
    """Listens at once, and answers when `show` has given it a detector."""

    daemon_threads = True
    block_on_close = False  # Ctrl-C does not wait for a detection

    def __init__(self, host: str, port: int):
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self.address_family, self._host = family, str(address[0])
        self.is_local = ipaddress.ip_address(self._host.partition("%")[0]).is_loopback
        super().__init__((self._host, port), Handler)
        self._names = {host, "localhost", "127.0.0.1", "::1"}
        self.slots, self.one_at_a_time = threading.BoundedSemaphore(MAX_REQUESTS), threading.Lock()

    @property
    def address(self) -> str:
        """The address of the page."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.server_port}/"

    def show(self, detector: LoadedDetector, *, name: str, max_pixels: int | None = None) -> None:
        """Set the detector and what the page says about it."""
        self.detector, self.max_pixels = detector, pixel_limit(detector, max_pixels)
        threshold = detector.default_threshold
        self.lowest, highest = SCORES if threshold else MARGINS
        self.description: Mapping[str, Any] = {
            "name": name,
            "class_names": detector.class_names,
            "threshold": threshold,
            "range": (self.lowest, highest),
            "max_bytes": MAX_BYTES,
            "max_photos": MAX_PHOTOS,
        }

    def knows(self, host: str) -> bool:
        """Return whether a request's Host header is a name of this machine.

        At a loopback address any other is a foreign page whose name was made to lead here (DNS rebinding).
        """
        if not self.is_local:
            return True
        try:
            asked = urllib.parse.urlsplit(f"//{host}")
            return asked.hostname in self._names and (asked.port or 80) == self.server_port
        except ValueError:
            return False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error in an answer; a browser that went away is none."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            log.exception("a request failed")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET / with the page, GET /detector with what it shows, and POST /detect with a photo's detections."""

    server: Server
    timeout = SLOW
    server_version, sys_version = "jaxdet", ""

    def do_GET(self) -> None:
        """Answer with the page or the detector's description."""
        if not self._is_from_here():
            return
        if self.path == "/":
            self._answer(HTTPStatus.OK, PAGE.read_bytes(), "text/html; charset=utf-8")
        elif self.path == "/detector":
            self._answer_json(HTTPStatus.OK, self.server.description)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here; the page is at /")

    def do_POST(self) -> None:
        """Answer with the detections on the photo that was sent."""
        if not self._is_from_here():
            return
        length = self.headers.get("Content-Length", "")
        if self.path != "/detect":
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here; photos go to /detect")
        elif not (length.isascii() and length.isdecimal()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "the request must say how long the photo is")
        elif len(length) > 12 or int(length) > MAX_BYTES:
            limit = f"{MAX_BYTES // 1_000_000} MB"
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the photo has more than {limit}; make it smaller")
        elif not self.server.slots.acquire(blocking=False):
            self._discard(int(length))
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many photos are waiting; send it again later")
        else:
            try:
                photo = self.rfile.read(int(length))
                if len(photo) == int(length):  # else the browser went away
                    self._detect(photo)
            finally:
                self.server.slots.release()

    def _discard(self, length: int) -> None:
        """Read a photo part by part without storing it: a browser reads no answer before it has sent all."""
        while length > 0 and (part := self.rfile.read(min(length, 1 << 16))):
            length -= len(part)

    def _detect(self, photo: bytes) -> None:
        """Answer with the size of the upright photo and its detections above the lowest threshold."""
        server = self.server
        try:
            with server.one_at_a_time:
                image = image_file.decode(photo, name="photo", max_pixels=server.max_pixels)
                detections = server.detector(image, server.lowest)
        except InputError as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error).removeprefix("image photo: "))
        except Exception:
            log.exception("a photo could not be detected on")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "the detection failed; the terminal of jaxdet says why")
        else:
            height, width = image.shape[:2]
            log.info("photo of %d x %d pixels: %d objects", width, height, len(detections))
            answer = {"width": width, "height": height, "detections": as_rows(detections)}
            self._answer_json(HTTPStatus.OK, answer)

    def _is_from_here(self) -> bool:
        """Return whether the request is of this page; refuse it otherwise."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if self.server.knows(host) and (origin is None or origin.partition("://")[2] == host):
            return True
        self._refuse(HTTPStatus.FORBIDDEN, f"this page is at {self.server.address}")
        return False

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._answer_json(status, {"error": message})

    def _answer_json(self, status: HTTPStatus, content: Mapping[str, Any]) -> None:
        self._answer(status, json.dumps(content).encode(), "application/json")

    def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log no requests; photos are logged by their size."""
