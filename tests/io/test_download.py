import contextlib
import fcntl
import hashlib
import http.server
import socket
import threading

import numpy as np
import pytest

from jaxdet.io.download import Unavailable, download, matches

CONTENT = np.random.default_rng(0).bytes(100_000)
EXPECTED = {"size": len(CONTENT), "digest": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"}


class Site(http.server.BaseHTTPRequestHandler):
    """Serves `content` under any path but /gone; after `cut` bytes of a reply it breaks off."""

    content = CONTENT
    ranges = True
    cut = len(CONTENT)

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Range"]))
        if self.path == "/gone":
            self.send_error(404)
            return
        start = 0
        if self.ranges and self.headers["Range"]:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start : start + self.cut])

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(**attributes):
    """Serve a local site; yield its address and a list of (path, Range) per request."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Site,), attributes)) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", server.asked
        finally:
            server.shutdown()
            thread.join()


def nobodys_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/a.tar"


def test_a_file_is_downloaded(tmp_path):
    with serving() as (address, asked):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **EXPECTED)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert asked == [("/a.tar", None)]
    assert [file.name for file in tmp_path.iterdir()] == ["a.tar"]


def test_an_interrupted_download_is_resumed(tmp_path):
    (tmp_path / "a.tar.part").write_bytes(CONTENT[:30_000])
    with serving(cut=40_000) as (address, asked):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **EXPECTED)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert [wanted for _, wanted in asked] == ["bytes=30000-", "bytes=70000-"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.tar"]


def test_the_next_address_resumes_the_download_of_the_first(tmp_path):
    with serving(cut=60_000, ranges=False) as (first, _), serving() as (second, asked):
        download([f"{first}/a.tar", f"{second}/a.tar"], tmp_path / "a.tar", **EXPECTED)
    assert asked == [("/a.tar", "bytes=60000-")]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_received_bytes_are_saved_under_another_name(tmp_path):
    with serving(cut=60_000, ranges=False) as (address, _), pytest.raises(Unavailable, match="broke off.* byte 60000"):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **EXPECTED)
    assert {file.name: file.stat().st_size for file in tmp_path.iterdir()} == {"a.tar.part": 60_000}


def test_a_server_without_ranges_sends_the_whole_file_again(tmp_path):
    (tmp_path / "a.tar.part").write_bytes(b"x" * 30_000)
    with serving(ranges=False) as (address, _):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **EXPECTED)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_without_a_size_the_servers_size_is_used(tmp_path):
    start, digest = CONTENT[:30_000], EXPECTED["digest"]
    with serving(cut=40_000) as (address, asked):
        download([f"{address}/a.pth"], tmp_path / "a.pth", digest=digest)
    assert [wanted for _, wanted in asked] == [None, "bytes=40000-", "bytes=80000-"]
    assert (tmp_path / "a.pth").read_bytes() == CONTENT
    for received in (start, CONTENT):  # also if all of it was received before
        (tmp_path / "b.pth.part").write_bytes(received)
        with serving() as (address, _):
            download([f"{address}/b.pth"], tmp_path / "b.pth", digest=digest)
        assert (tmp_path / "b.pth").read_bytes() == CONTENT
        (tmp_path / "b.pth").unlink()
    with serving(cut=0) as (address, _), pytest.raises(Unavailable, match="broke off at byte 0 of 100000"):
        download([f"{address}/c.pth"], tmp_path / "c.pth", digest=digest)


def test_a_digest_matches_by_its_first_characters(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    md5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert (
        matches(tmp_path / "a", md5)
        and matches(tmp_path / "a", md5[:10])
        and matches(tmp_path / "a", EXPECTED["digest"])
    )
    assert not matches(tmp_path / "a", "sha256:00000000")


@pytest.mark.parametrize("start", [0, 30_000])
def test_a_file_with_a_wrong_digest_is_deleted(tmp_path, start):
    (tmp_path / "a.tar.part").write_bytes(CONTENT[:start])
    with (
        serving(content=CONTENT[:-1] + b"?") as (address, _),
        pytest.raises(Unavailable, match="does not have sha256:"),
    ):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **EXPECTED)
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_size_does_not_replace_received_bytes(tmp_path):
    (tmp_path / "a.tar.part").write_bytes(CONTENT[:30_000])
    with serving(content=CONTENT + b"?") as (address, _), pytest.raises(Unavailable, match="offers 100001 bytes, not"):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **EXPECTED)
    assert (tmp_path / "a.tar.part").read_bytes() == CONTENT[:30_000]
    with serving(content=b"we are moving", ranges=False) as (address, _), pytest.raises(Unavailable, match="13 bytes"):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **EXPECTED)
    assert (tmp_path / "a.tar.part").read_bytes() == CONTENT[:30_000]


def test_every_address_that_fails_is_named(tmp_path):
    with serving() as (address, _), pytest.raises(Unavailable) as error:
        download([f"{address}/gone", nobodys_address(), "not an address"], tmp_path / "a.tar", **EXPECTED)
    for reason in ("/gone: HTTP Error 404: Not Found", "Connection refused", "unknown url type"):
        assert reason in str(error.value)
    assert not list(tmp_path.iterdir())


def test_after_a_wrong_digest_the_next_address_is_tried(tmp_path):
    with serving(content=CONTENT[:-1] + b"?") as (bad, _), serving() as (good, _):
        download([f"{bad}/a.tar", f"{good}/a.tar"], tmp_path / "a.tar", **EXPECTED)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_a_download_that_waited_for_a_failed_one_succeeds(tmp_path, monkeypatch):
    part, waits = tmp_path / "a.tar.part", []
    lock = fcntl.flock

    def flock(file, operation):
        if not waits:  # while this call waits, the other gives up and removes the file
            part.unlink()
        waits.append(file.name)
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with serving() as (address, _):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **EXPECTED)
    assert len(waits) == 2
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_simultaneous_calls_download_once(tmp_path):
    with serving() as (address, asked):
        together = [f"{address}/a.tar"], tmp_path / "a.tar"
        threads = [threading.Thread(target=download, args=together, kwargs=EXPECTED) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(asked) == 1
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["a.tar"]
