"""The manifest that makes a checkpoint folder trustworthy: written last, verified before anything is read.

manifest.json holds the SHA-256 of every file beside it, what the trainer noted about the checkpoint, and the SHA-256 of
these two themselves. It appears whole or not at all, so it marks a finished save.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

NAME = "manifest.json"


def write(folder: Path, metadata: dict[str, Any]) -> None:
    """Seals the files of a folder, with `metadata` (JSON)."""
    _put(folder, {"metadata": metadata, "files": _hashes(folder)})


def renew(folder: Path, metadata: dict[str, Any]) -> None:
    """Replaces the metadata of a sealed folder in one indivisible move."""
    _put(folder, {"metadata": metadata, "files": _get(folder)["files"]})


def exists(folder: Path) -> bool:
    """Tells whether the save of this folder was finished."""
    return (folder / NAME).is_file()


def metadata(folder: Path) -> dict[str, Any]:
    """Reads what was noted; raises ValueError or OSError where the manifest itself is broken."""
    return _get(folder)["metadata"]


def fault(folder: Path) -> str | None:
    """Says what differs from the manifest, or None where every file is as it was saved."""
    try:
        saved, found = _get(folder)["files"], _hashes(folder)
    except (OSError, ValueError) as error:
        return f"manifest or files unreadable: {error}"
    lost = sorted(saved.keys() - found.keys())
    changed = sorted(name for name in saved if name in found and found[name] != saved[name])
    if lost:
        return f"{len(lost)} file(s) missing, first {lost[0]}"
    return f"{len(changed)} file(s) changed, first {changed[0]}" if changed else None


def _put(folder: Path, content: dict[str, Any]) -> None:
    draft = folder / (NAME + ".draft")
    with draft.open("w") as file:
        json.dump({"content": content, "sha256": _hash_of(content)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(folder / NAME)


def _get(folder: Path) -> dict[str, Any]:
    read = json.loads((folder / NAME).read_text())
    if not isinstance(read, dict) or read.get("sha256") != _hash_of(read.get("content")):
        raise ValueError(f"{NAME} changed")
    return read["content"]


def _hash_of(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _hashes(folder: Path) -> dict[str, str]:
    hashes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(NAME):
            with path.open("rb") as file:
                hashes[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes
