"""A prepared copy on disk: the list of its files that shows damage, and what earlier preparations left behind."""

import contextlib
import fcntl
import hashlib
import json
import logging
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from jaxdet.checks import InputError
from jaxdet.io.atomic import atomic_write

log = logging.getLogger(__name__)

MANIFEST = "files.json"  # name -> [size in bytes, SHA-256 or "" for a large file]
HASHED_BYTES = 10_000_000  # of a file; damage inside larger ones shows when their records are read


def write_manifest(directory: Path) -> None:
    """List the files of a copy that has just been prepared."""
    listed = {file.name: _entry(file) for file in sorted(directory.iterdir()) if file.name != MANIFEST}
    with atomic_write(directory / MANIFEST) as file:
        file.write(json.dumps(listed, indent=1).encode())


def check_files(directory: Path) -> None:
    """Raise InputError where a file of a copy is missing or has changed. A copy without a list is not checked."""
    if not (directory / MANIFEST).exists():
        return
    try:
        listed = json.loads((directory / MANIFEST).read_text())
        changed = [name for name, entry in listed.items() if _entry(directory / name) != entry]
    except FileNotFoundError as error:
        raise damaged(directory, f"{Path(error.filename).name} is missing") from error
    except (OSError, ValueError, AttributeError) as error:
        raise damaged(directory, str(error)) from error
    if changed:
        raise damaged(directory, f"{', '.join(changed)} is not as it was written")


def damaged(directory: Path, reason: str) -> InputError:
    """Return the error for a copy that cannot be read."""
    return InputError(
        f"data_dir: the prepared data in {directory} must be whole, got damage ({reason}); delete the folder and run "
        f"again, so that it is prepared again: rm -r {shlex.quote(str(directory))}"
    )


@contextlib.contextmanager
def preparing(home: Path) -> Iterator[None]:
    """Mark a folder of copies as in use by a preparation. First remove what stopped preparations left in it.

    That is only removed where no other process is preparing there: each holds a shared lock, which ends with it.

    Raises:
      OSError: the folder cannot be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "preparing.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_incomplete(home)
        except OSError:  # another process is preparing, or the file system has no locks
            pass
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def report_earlier(directory: Path, prefix: str) -> None:
    """Log the copies beside `directory` whose names start with `prefix`: of earlier contents of the same folder.

    They are not removed, because a training that still runs may read one of them.
    """
    home, own = directory.parents[1], directory.parent.name
    earlier = [copy for copy in sorted(home.iterdir()) if copy.name.startswith(prefix) and copy.name != own]
    if earlier:
        megabytes = sum(file.stat().st_size for copy in earlier for file in copy.rglob("*") if file.is_file()) / 1e6
        log.info(
            "%d copies of earlier contents of the folder use %.1f MB; unless training uses them, remove them: rm -r %s",
            *(len(earlier), megabytes, " ".join(shlex.quote(str(copy)) for copy in earlier)),
        )


def _remove_incomplete(home: Path) -> None:
    """Remove the folders that TFDS names incomplete.* while it writes them.

    Only of our builders, whose versions begin with 1: one of TFDS's own may be at work in the same folder, unlocked.
    """
    left = list(home.glob("*/incomplete.*_1.*"))
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # other copies are beside it
            folder.parent.rmdir()
    if left:
        log.info("removed %d unfinished copies that stopped preparations left in %s", len(left), home)


def _entry(file: Path) -> list[int | str]:
    size = file.stat().st_size
    return [size, hashlib.sha256(file.read_bytes()).hexdigest() if size <= HASHED_BYTES else ""]
