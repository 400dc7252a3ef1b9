"""The home folder in paths: ~ and ~user, also where the shell leaves them as they are."""

import os

from jaxdet.checks import InputError


def expand_home(what: str, path: str | os.PathLike[str]) -> str:
    """Return a path with a leading ~ or ~user replaced by the home folder.

    Args:
      what: the flag or field, for the error.
      path: any path or address; one of an existing file whose name begins with ~ stays as it is.

    Raises:
      InputError: there is no such user.
    """
    expanded = os.path.expanduser(os.fspath(path))
    if expanded.startswith("~") and not os.path.lexists(expanded):
        user = expanded.partition("/")[0]
        raise InputError(
            f"{what}: there is no home folder of {user}, got {expanded!r}; write the path in full, or ./{user} for a "
            "folder of this name."
        )
    return expanded
