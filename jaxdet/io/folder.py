"""Output folders: the check that one can be written, and the error where it cannot."""

import errno
import tempfile
from pathlib import Path

from jaxdet.checks import InputError

# Errors of the folder or disk that the user chose: not writable, full, or removed meanwhile. Others, such as EIO of a
# failing disk, need a traceback.
CANNOT_WRITE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EDQUOT, errno.EFBIG, errno.ENOSPC),
    *(errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.ESTALE),
)


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


def cannot_write(error: OSError) -> bool:
    """Return whether an error says that the folder is not writable, the disk is full, or the folder is gone."""
    return error.errno in CANNOT_WRITE


def unwritable(what: Path | str, error: OSError, *, cure: str) -> InputError:
    """Return the error for a file or folder that cannot be written; `cure` is a clause such as "free some space"."""
    return InputError(f"{what} must be writable, got {error.strerror}; {cure}.")
