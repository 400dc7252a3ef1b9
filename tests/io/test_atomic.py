import errno
import subprocess
import sys

import pytest

from jaxdet.io.atomic import atomic_write, draft_of


def test_the_file_is_replaced_at_the_end_of_the_block(tmp_path):
    path = tmp_path / "new" / "a.bin"
    for content in (b"first", b"2nd"):
        with atomic_write(path) as file:
            file.write(content)
            assert not path.exists() or path.read_bytes() == b"first"
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_an_error_in_the_block_leaves_the_old_content(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_left_by_a_kill_is_replaced(tmp_path):
    draft_of(tmp_path / "a.bin").write_bytes(b"half of something long")
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"short")
    assert (tmp_path / "a.bin").read_bytes() == b"short"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_created_raises_oserror(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), atomic_write(tmp_path / "file" / "a.bin"):
        pass


def test_hidden_files_of_the_user_and_the_longest_names_are_no_obstacle(tmp_path):
    (tmp_path / ".a.bin").write_bytes(b"the user's")
    for name in ("a.bin", "x" * 251 + ".bin"):
        with atomic_write(tmp_path / name) as file:
            file.write(b"new")
    assert (tmp_path / ".a.bin").read_bytes() == b"the user's"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_full_disk_is_named_with_the_file_and_leaves_the_old_content(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"before")
    code = (
        "import resource, sys, pathlib\n"
        "from jaxdet.io.atomic import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n"
        "    with atomic_write(pathlib.Path(sys.argv[1])) as file:\n"
        "        file.write(bytes(200))\n"
        "except OSError as error:\n"
        "    print(error.errno, error.filename)\n"
    )
    printed = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    assert printed.split() == [str(errno.EFBIG), str(path)]
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
