"""Duplicate images, by the bytes of their files or by a perceptual hash, within a split and across splits."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from jaxdet.doctor.finding import Finding, Severity

TOPIC = "duplicates"
SIDE = 32  # of the thumbnails that candidates are compared by
MOST_BITS = 4  # of 64 in which the hashes of one picture may differ, after it is resized or compressed again
BANDS = MOST_BITS + 1  # of two hashes that differ in MOST_BITS bits, one band is equal
LIKE = 6.0  # mean difference of grey levels between thumbnails of one picture
LEAST_CONTRAST = 4.0  # standard deviation of grey levels; flatter images (blank, black) all look alike
NEIGHBOURS = 200  # of a band that an image is compared with: more are frames of one scene, and all pairs take too long


@dataclasses.dataclass(frozen=True)
class Picture:
    """What duplicates are found by.

    Attributes:
      part: 'train', 'validation' or 'test'.
      name: of the image.
      digest: hash of the file's bytes.
      thumbnail: u8[32,32], grey; None where there is none.
    """

    part: str
    name: str
    digest: str
    thumbnail: np.ndarray | None


Pair = tuple[Picture, Picture]


def thumbnail(encoded: bytes) -> np.ndarray | None:
    """Return a grey thumbnail u8[32,32] of an image file; None where OpenCV does not decode it."""
    coded = np.frombuffer(encoded, np.uint8)
    flags = cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_IGNORE_ORIENTATION  # JPEG is decoded at a quarter of its size
    image = cv2.imdecode(coded, flags) if len(coded) else None
    if image is not None and min(image.shape) < SIDE:
        image = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if image is None else cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def difference_hash(thumbnails: np.ndarray) -> np.ndarray:
    """Return u64[N]: a bit for each of 8 x 8 neighbours of which the right one is brighter, in u8[N,32,32]."""
    small = np.stack([cv2.resize(each, (9, 8), interpolation=cv2.INTER_AREA) for each in thumbnails])
    bits = small[:, :, 1:] > small[:, :, :-1]
    return np.packbits(bits.reshape(len(bits), 64), axis=1).view(np.uint64)[:, 0]


def find_duplicates(pictures: Sequence[Picture]) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs of equal files, and the pairs of other files that show the same picture.

    Of a group of equal files each is paired with the first. Mirrored and cropped copies are not found.
    """
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        groups[picture.digest].append(picture)
    equal = [(group[0], other) for group in groups.values() for other in group[1:]]
    distinct = [group[0] for group in groups.values()]
    distinct = [each for each in distinct if each.thumbnail is not None and each.thumbnail.std() >= LEAST_CONTRAST]
    if not distinct:
        return equal, []
    thumbnails = np.stack([each.thumbnail for each in distinct if each.thumbnail is not None])
    hashes, grey = difference_hash(thumbnails), thumbnails.astype(np.int16)
    alike = [(distinct[i], distinct[j]) for i, j in _candidates(hashes) if np.abs(grey[i] - grey[j]).mean() <= LIKE]
    return equal, alike


def duplicate_findings(equal: Sequence[Pair], alike: Sequence[Pair]) -> list[Finding]:
    """Return a finding for each two splits that share pictures, with all pairs named, and for each split."""
    findings = []
    for what, pairs in (("equal files", equal), ("files that show the same picture", alike)):
        by_parts: dict[tuple[str, str], list[Pair]] = defaultdict(list)
        for pair in pairs:
            by_parts[(pair[0].part, pair[1].part)].append(pair)
        for (first, second), listed in by_parts.items():
            names = tuple(f"{first}/{a.name} = {second}/{b.name}" for a, b in listed)
            within = first == second
            where = f"within {first}" if within else f"in {first} and {second}"
            effect = (
                "" if within else f", so scores on {second} are too good; remove one of each, or keep both in one split"
            )
            severity: Severity = "note" if within else "warning"
            findings.append(Finding(severity, TOPIC, f"pairs of {what} {where}: {len(listed)}{effect}", names))
    return findings


def _candidates(hashes: np.ndarray) -> Iterable[tuple[int, int]]:
    """Return the pairs i < j of u64[N] that differ in at most MOST_BITS bits, in order."""
    bits = np.unpackbits(hashes.view(np.uint8).reshape(len(hashes), 8), axis=1)
    pairs: set[tuple[int, int]] = set()
    for band in np.array_split(np.arange(64), BANDS):
        groups: dict[bytes, list[int]] = defaultdict(list)
        for i, key in enumerate(np.packbits(bits[:, band], axis=1)):
            groups[key.tobytes()].append(i)
        for members in groups.values():
            for offset in range(1, min(len(members), NEIGHBOURS)):
                pairs.update(zip(members, members[offset:], strict=False))
    if not pairs:
        return []
    first, second = np.array(sorted(pairs)).T
    near = np.bitwise_count(hashes[first] ^ hashes[second]) <= MOST_BITS
    return zip(first[near].tolist(), second[near].tolist(), strict=True)
