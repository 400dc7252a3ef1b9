"""The web page: its answers over HTTP, with a detector that knows one answer, and its script in a browser."""

import base64
import contextlib
import http.client
import io
import json
import re
import subprocess
import threading
import types

import numpy as np
import pytest
from PIL import Image

from jaxdet.checks import InputError
from jaxdet.serving import serve
from jaxdet.serving.serve import Server
from jaxdet.types import ImageDetections
from tests.browser import BROWSER, needs_browser


class Detector:
    """Detects a cat over the left half of an image and an unlikely dog, and fails on images of 7 pixels' width."""

    class_names, default_threshold = ("cat", "<dog>"), 0.5
    experiment = types.SimpleNamespace(dataset=types.SimpleNamespace(max_pixels=10_000))

    def __call__(self, image, threshold):
        height, width = image.shape[:2]
        if width == 7:
            raise RuntimeError("no memory")
        boxes = np.float32([[0, 0, width / 2, height], [0, 0, 9, 9]])
        return ImageDetections(boxes, np.float32([0.9, 0.3]), np.int32([1, 2]), self.class_names)


@contextlib.contextmanager
def serving(detector=None, host="127.0.0.1"):
    with Server(host, 0) as server:
        server.show(detector or Detector(), name="runs/<x>")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


def ask(server, method, path, body=None, **headers):
    """Return the status, the headers and the content of an answer, JSON already read."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        content = reply.read()
        return reply.status, reply.headers, json.loads(content) if "json" in reply.headers["Content-Type"] else content


def photo(width=40, height=20, kind="PNG", **options):
    encoded = io.BytesIO()
    Image.new("RGB", (width, height), "gray").save(encoded, kind, **options)
    return encoded.getvalue()


def test_the_page_needs_nothing_from_elsewhere(server):
    status, headers, page = ask(server, "GET", "/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert not re.findall(rb"https?://", page)
    assert b"innerHTML" not in page  # names of files and classes are text


def test_the_detector_is_described(server):
    status, _, description = ask(server, "GET", "/detector")
    assert status == 200
    assert description["class_names"] == ["cat", "<dog>"]
    assert (description["threshold"], description["range"]) == (0.5, [0.05, 1.0])


def test_margins_of_svms_have_their_own_range():
    svms = Detector()
    svms.default_threshold = 0.0
    with serving(svms) as server:
        assert ask(server, "GET", "/detector")[2]["range"] == [-1.0, 2.0]


def test_a_photo_is_answered_with_all_detections_of_the_upright_image(server):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    status, _, answer = ask(server, "POST", "/detect", photo(kind="JPEG", exif=exif))
    assert status == 200
    assert (answer["width"], answer["height"]) == (20, 40)
    assert answer["detections"] == [
        {"class": "cat", "score": 0.9, "box": [0, 0, 10, 40]},
        {"class": "<dog>", "score": 0.3, "box": [0, 0, 9, 9]},
    ]


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"no photo", {}, 422, "cannot be read (no image in a known format"),
        (b"", {}, 422, "cannot be read (the file is empty"),
        (photo()[:60], {}, 422, "cannot be read ("),
        (photo(200, 100), {}, 422, "has 200 x 100 pixels, more than max_pixels = 10000; make it smaller"),
        (photo(7), {}, 500, "the detection failed; the terminal of jaxdet says why"),
        (None, {"Content_Length": "50000001"}, 413, "the photo has more than 50 MB; make it smaller"),
        (None, {"Content_Length": "9" * 5000}, 413, "more than 50 MB"),
        (None, {"Content_Length": "-1"}, 411, "the request must say how long the photo is"),
    ],
)
def test_a_bad_upload_has_a_clear_message(server, body, headers, status, message):
    answered, _, answer = ask(server, "POST", "/detect", body, **headers)
    assert answered == status
    assert message in answer["error"]
    assert ask(server, "POST", "/detect", photo())[0] == 200  # it goes on


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/../serve.py", "/?x", "/page.html", "/detector/..", "/%2e%2e/", "/detect"]
)
def test_no_file_can_be_read(server, path):
    assert ask(server, "GET", path)[0] == 404
    if path != "/detect":
        assert ask(server, "POST", path, photo())[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost:1"},
        {"Host": "localhost:x"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
def test_foreign_pages_are_refused(server, headers):
    for method, path in (("GET", "/"), ("GET", "/detector"), ("POST", "/detect")):
        status, _, answer = ask(server, method, path, **headers)
        assert (status, answer) == (403, {"error": f"this page is at {server.address}"})


def test_the_page_itself_may_use_its_names(server):
    for name in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST"):
        host = f"{name}:{server.server_port}"
        assert ask(server, "POST", "/detect", photo(), Host=host, Origin=f"http://{host}")[0] == 200


def test_another_address_has_any_name():
    with serving(host="0.0.0.0") as server:
        assert not server.is_local
        assert ask(server, "GET", "/", Host="box.lan:8000")[0] == 200


def test_one_photo_is_detected_on_at_a_time_and_few_wait(monkeypatch):
    running, release, most = [], threading.Event(), []

    class Slow(Detector):
        def __call__(self, image, threshold):
            running.append(1)
            most.append(len(running))
            release.wait(30)
            running.pop()
            return super().__call__(image, threshold)

    monkeypatch.setattr(serve, "MAX_REQUESTS", 3)
    with serving(Slow()) as server:
        statuses = []
        threads = [
            threading.Thread(target=lambda: statuses.append(ask(server, "POST", "/detect", photo())[0]))
            for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        while statuses.count(503) < 2:
            threads[0].join(0.01)
        release.set()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200, 200, 200, 503, 503]
    assert max(most) == 1


def test_a_large_photo_is_read_before_it_is_refused(monkeypatch):
    monkeypatch.setattr(serve, "MAX_REQUESTS", 0)
    with serving() as server:
        status, _, answer = ask(server, "POST", "/detect", bytes(10_000_000))
    assert (status, answer) == (503, {"error": "too many photos are waiting; send it again later"})


def test_an_address_in_use_is_an_error_before_the_detector_is_loaded(server):
    options = {"checkpoint": "best", "host": "127.0.0.1"}
    with pytest.raises(InputError, match="--host and --port must be free, got 127.0.0.1:.*in use.*choose another"):
        serve.serve("runs/nowhere", None, port=server.server_port, **options)
    with pytest.raises(InputError, match="--workdir is missing"):
        serve.serve(None, None, port=0, **options)


def test_ctrl_c_ends_it_and_waits_for_no_detection(monkeypatch, caplog):
    caplog.set_level("INFO")
    started, release = threading.Event(), threading.Event()

    class Endless(Detector):
        def __call__(self, image, threshold):
            started.set()
            release.wait(30)
            return super().__call__(image, threshold)

    def interrupted(server):
        thread = threading.Thread(target=http.server.HTTPServer.serve_forever, args=(server, 0.01))
        thread.start()
        connection = clients.enter_context(
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.server_port))
        )
        connection.request("POST", "/detect", photo())
        assert started.wait(30)
        server.shutdown()
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(serve, "open_detector", lambda *_, **more: Endless())
    monkeypatch.setattr(Server, "serve_forever", interrupted)
    with contextlib.ExitStack() as clients:
        with pytest.raises(KeyboardInterrupt):
            serve.serve("runs/x", None, checkpoint="best", host="127.0.0.1", port=0)
        assert not release.is_set()  # the detection still runs
        release.set()
        for thread in threading.enumerate():
            if "process_request_thread" in thread.name:
                thread.join()
    assert re.search(r"detections at http://127\.0\.0\.1:\d+/; press Ctrl-C to end", caplog.text)


DROPS = """<script>(async () => {
  while (!detector) await new Promise((done) => setTimeout(done, 10));
  const photo = Uint8Array.from(atob("PHOTO"), (character) => character.charCodeAt(0));
  take([new File([photo], "a<b>.png"), new File(["no photo"], "bad.jpg")]);
  while (busy) await new Promise((done) => setTimeout(done, 10));
  for (const least of [0.05, 0.95]) {
    $("threshold").value = least;
    update();
    document.body.append(element("pre", [...document.querySelectorAll("figure")].map((figure) =>
      [figure.querySelector("p").textContent, ...[...figure.querySelectorAll(".box")].map((box) =>
        box.textContent + " " + box.style.left + " " + box.style.width)].join("; ")).join(" | ")));
  }
})();</script></body>"""


@needs_browser
def test_the_page_shows_boxes_and_errors_in_a_browser(server, tmp_path, monkeypatch):
    page = serve.PAGE.read_text(encoding="utf-8")
    page = page.replace("</body>", DROPS.replace("PHOTO", base64.b64encode(photo()).decode()))
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    monkeypatch.setattr(serve, "PAGE", tmp_path / "page.html")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [str(BROWSER), *flags, "--virtual-time-budget=20000", "--dump-dom", server.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    low, high = re.findall("<pre>(.*?)</pre>", done.stdout)
    error = "cannot be read (no image in a known format"
    assert low.startswith("1 × cat, 1 × &lt;dog&gt;; &lt;dog&gt; 0.30 0% 22.5%; cat 0.90 0% 50% | " + error)
    assert high.startswith("nothing above the minimum score | " + error)
    assert "<strong>a&lt;b&gt;.png</strong>" in done.stdout
