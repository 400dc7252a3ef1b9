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
KNOWN = {"size": len(CONTENT), "digest": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"}


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
    """A site on this machine: its address and, one a request, (path, Range)."""
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


def test_a_file_arrives_whole(tmp_path):
    with serving() as (address, asked):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **KNOWN)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert asked == [("/a.tar", None)]
    assert [file.name for file in tmp_path.iterdir()] == ["a.tar"]


def test_an_interrupted_download_goes_on_where_it_was(tmp_path):
    (tmp_path / "a.tar.part").write_bytes(CONTENT[:30_000])
    with serving(cut=40_000) as (address, asked):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **KNOWN)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert [wanted for _, wanted in asked] == ["bytes=30000-", "bytes=70000-"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.tar"]


def test_the_next_address_goes_on_with_what_the_first_brought(tmp_path):
    with serving(cut=60_000, ranges=False) as (first, _), serving() as (second, asked):
        download([f"{first}/a.tar", f"{second}/a.tar"], tmp_path / "a.tar", **KNOWN)
    assert asked == [("/a.tar", "bytes=60000-")]
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_what_has_arrived_is_kept_under_another_name(tmp_path):
    with serving(cut=60_000, ranges=False) as (address, _), pytest.raises(Unavailable, match="broke off.* byte 60000"):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **KNOWN)
    assert {file.name: file.stat().st_size for file in tmp_path.iterdir()} == {"a.tar.part": 60_000}


def test_a_site_that_cannot_resume_sends_all_again(tmp_path):
    (tmp_path / "a.tar.part").write_bytes(b"x" * 30_000)
    with serving(ranges=False) as (address, _):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **KNOWN)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_without_a_size_the_server_is_believed(tmp_path):
    start, digest = CONTENT[:30_000], KNOWN["digest"]
    with serving(cut=40_000) as (address, asked):
        download([f"{address}/a.pth"], tmp_path / "a.pth", digest=digest)
    assert [wanted for _, wanted in asked] == [None, "bytes=40000-", "bytes=80000-"]
    assert (tmp_path / "a.pth").read_bytes() == CONTENT
    for arrived in (start, CONTENT):  # also where all of it had arrived before
        (tmp_path / "b.pth.part").write_bytes(arrived)
        with serving() as (address, _):
            download([f"{address}/b.pth"], tmp_path / "b.pth", digest=digest)
        assert (tmp_path / "b.pth").read_bytes() == CONTENT
        (tmp_path / "b.pth").unlink()
    with serving(cut=0) as (address, _), pytest.raises(Unavailable, match="broke off at byte 0 of 100000"):
        download([f"{address}/c.pth"], tmp_path / "c.pth", digest=digest)


def test_a_digest_and_its_beginning(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    md5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert (
        matches(tmp_path / "a", md5) and matches(tmp_path / "a", md5[:10]) and matches(tmp_path / "a", KNOWN["digest"])
    )
    assert not matches(tmp_path / "a", "sha256:00000000")


@pytest.mark.parametrize("start", [0, 30_000])
def test_a_wrong_sum_leaves_nothing(tmp_path, start):
    (tmp_path / "a.tar.part").write_bytes(CONTENT[:start])
    with (
        serving(content=CONTENT[:-1] + b"?") as (address, _),
        pytest.raises(Unavailable, match="does not have sha256:"),
    ):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **KNOWN)
    assert not list(tmp_path.iterdir())


def test_another_file_is_refused_before_it_spoils_what_has_arrived(tmp_path):
    (tmp_path / "a.tar.part").write_bytes(CONTENT[:30_000])
    with serving(content=CONTENT + b"?") as (address, _), pytest.raises(Unavailable, match="offers 100001 bytes, not"):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **KNOWN)
    assert (tmp_path / "a.tar.part").read_bytes() == CONTENT[:30_000]
    with serving(content=b"we are moving", ranges=False) as (address, _), pytest.raises(Unavailable, match="13 bytes"):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **KNOWN)
    assert (tmp_path / "a.tar.part").read_bytes() == CONTENT[:30_000]


def test_every_address_that_fails_is_named(tmp_path):
    with serving() as (address, _), pytest.raises(Unavailable) as error:
        download([f"{address}/gone", nobodys_address(), "not an address"], tmp_path / "a.tar", **KNOWN)
    for reason in ("/gone: HTTP Error 404: Not Found", "Connection refused", "unknown url type"):
        assert reason in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_next_address_may_have_the_right_file(tmp_path):
    with serving(content=CONTENT[:-1] + b"?") as (bad, _), serving() as (good, _):
        download([f"{bad}/a.tar", f"{good}/a.tar"], tmp_path / "a.tar", **KNOWN)
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_one_that_waited_for_one_that_failed_keeps_what_it_downloads(tmp_path, monkeypatch):
    part, waits = tmp_path / "a.tar.part", []
    lock = fcntl.flock

    def flock(file, operation):
        if not waits:  # while this one waits, the other gives up and removes the file
            part.unlink()
        waits.append(file.name)
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with serving() as (address, _):
        download([f"{address}/a.tar"], tmp_path / "a.tar", **KNOWN)
    assert len(waits) == 2
    assert (tmp_path / "a.tar").read_bytes() == CONTENT


def test_two_at_once_download_once(tmp_path):
    with serving() as (address, asked):
        together = [f"{address}/a.tar"], tmp_path / "a.tar"
        threads = [threading.Thread(target=download, args=together, kwargs=KNOWN) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(asked) == 1
    assert (tmp_path / "a.tar").read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["a.tar"]
