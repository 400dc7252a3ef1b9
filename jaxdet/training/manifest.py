"""The manifest of a checkpoint folder: written last, verified before anything is read.

manifest.json holds the SHA-256 of every file beside it, the trainer's metadata of the checkpoint, and the SHA-256 of
these two. It is written atomically, so its presence marks a finished save.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from jaxdet.io.atomic import atomic_write

NAME = "manifest.json"


def write(folder: Path, metadata: dict[str, Any]) -> None:
    """Write the manifest of the files in a folder, with `metadata` (JSON)."""
    _put(folder, {"metadata": metadata, "files": _hashes(folder)})


def renew(folder: Path, metadata: dict[str, Any]) -> None:
    """Replace the metadata in a manifest, atomically; the hashes stay."""
    _put(folder, {"metadata": metadata, "files": _get(folder)["files"]})


def exists(folder: Path) -> bool:
    """Return whether the save of this folder was finished."""
    return (folder / NAME).is_file()


def metadata(folder: Path) -> dict[str, Any]:
    """Return the metadata; raise ValueError or OSError where the manifest itself is broken."""
    return _get(folder)["metadata"]


def is_readable(folder: Path) -> bool:
    """Return whether the manifest is there and whole; the files beside it are not read."""
    try:
        return "metadata" in _get(folder)
    except (OSError, ValueError):
        return False


def fault(folder: Path) -> str | None:
    """Return what differs from the manifest; None where every file is as it was saved."""
    try:
        saved, present = _get(folder)["files"], _hashes(folder)
    except (OSError, ValueError) as error:
        return f"manifest or files unreadable: {error}"
    missing = sorted(saved.keys() - present.keys())
    changed = sorted(name for name in saved if name in present and present[name] != saved[name])
    if missing:
        return f"{len(missing)} file(s) missing, first {missing[0]}"
    return f"{len(changed)} file(s) changed, first {changed[0]}" if changed else None


def _put(folder: Path, content: dict[str, Any]) -> None:
    with atomic_write(folder / NAME) as file:
        file.write(json.dumps({"content": content, "sha256": _hash_of(content)}, indent=1).encode())


def _get(folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / NAME).read_text())
    if not isinstance(manifest, dict) or manifest.get("sha256") != _hash_of(manifest.get("content")):
        raise ValueError(f"{NAME} changed")
    return manifest["content"]


def _hash_of(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _hashes(folder: Path) -> dict[str, str]:
    """Return relative path -> SHA-256 of every file but the manifest and the drafts of it that a kill may leave."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and NAME not in path.name:
            with path.open("rb") as file:
                hashes[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes
