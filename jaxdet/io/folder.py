"""Output folders: the check that one can be written, and the error where it cannot."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

from jaxdet.checks import InputError

# Errors of the folder or disk that the user chose: not writable, full, or removed meanwhile. Others, such as EIO of a
# failing disk, need a traceback.
FULL_OR_READ_ONLY = (errno.EDQUOT, errno.EFBIG, errno.ENOSPC, errno.EROFS)
CANNOT_WRITE = (
    *FULL_OR_READ_ONLY,
    *(errno.EACCES, errno.EPERM),
    *(errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.ESTALE),
)


def full_path(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path without `..` and without links in the folders above.

    A link as the last name is not followed: files that belong to it may lie beside the link.
    """
    absolute = Path(path).absolute()
    return absolute.resolve() if absolute.name == ".." else absolute.parent.resolve() / absolute.name


def make_writable(folder: Path, *, cure: str) -> Path:
    """Create a folder and write to it, before the long work whose results it will hold.

    Raises:
      InputError: the folder cannot be written; see `unwritable`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(folder, error, cure=cure) from error
    return folder


def remove_folder(folder: Path, *, ignore_errors: bool = False) -> None:
    """Remove a folder with all files in it.

    They are emptied first, because the bin of Google Drive keeps the bytes of deleted files. Files with another name
    elsewhere (hard links, symbolic links) keep their content.
    """
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1:
                os.truncate(path, 0)
        except OSError:  # a file that cannot be written may still be removed
            continue
    shutil.rmtree(folder, ignore_errors=ignore_errors)


def cannot_write(error: OSError) -> bool:
    """Return whether an error says that the folder is not writable, the disk is full, or the folder is gone."""
    return error.errno in CANNOT_WRITE


def unwritable(what: Path | str, error: OSError, *, cure: str) -> InputError:
    """Return the error for a file or folder that cannot be written; `cure` is a clause such as "free some space"."""
    reason = "a file in its place" if isinstance(error, (FileExistsError, NotADirectoryError)) else error.strerror
    return InputError(f"{what} must be writable, got {reason}; {cure}.")
