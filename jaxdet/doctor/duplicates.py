"""Duplicate images, by the bytes of their files or by their look, within a split and across splits."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np

from jaxdet.doctor.finding import Finding, Severity

TOPIC = "duplicates"
SIDE = 32  # of the thumbnails that candidates are compared by
MOST_BITS = 4  # of 64 in which the hashes of one picture may differ, after it is resized or compressed again
BANDS = MOST_BITS + 1  # of two hashes that differ in MOST_BITS bits, one band is equal
LIKE = 6.0  # mean difference of grey levels between thumbnails of one picture or one scene
CELL = 4  # side of the parts of a thumbnail in which something may have moved
LIKE_CELLS = 12.0  # mean difference in every part for one picture: copies have up to 12, frames of a scene 5 to 75
LEAST_CONTRAST = 4.0  # standard deviation of grey levels; flatter images (blank, black) all look alike
NEIGHBOURS = 50  # images per band that each image is compared with; to compare all frames of a scene takes too long
CHUNK = 4096  # pairs that are compared at a time


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image as duplicates are found: by its digest and its thumbnail.

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


def find_duplicates(pictures: Sequence[Picture]) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Return the pairs of equal files, of other files that show the same picture, and of frames of one scene.

    Each equal file is paired with the first of its group. Every other copy is paired with the first one of each split,
    a frame of a scene with the first one of each other split. Mirrored and cropped copies are not found.
    """
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        groups[picture.digest].append(picture)
    equal = [(group[0], other) for group in groups.values() for other in group[1:]]
    distinct = [group[0] for group in groups.values()]
    distinct = [each for each in distinct if each.thumbnail is not None and each.thumbnail.std() >= LEAST_CONTRAST]
    if not distinct:
        return equal, [], []
    thumbnails = np.stack([each.thumbnail for each in distinct if each.thumbnail is not None])
    pairs = near_pairs(difference_hash(thumbnails))
    mean, worst = _differences(thumbnails, pairs)
    numbers = {part: i for i, part in enumerate(dict.fromkeys(each.part for each in distinct))}
    parts = np.array([numbers[each.part] for each in distinct])
    across = parts[pairs[:, 0]] != parts[pairs[:, 1]]
    copies = (mean <= LIKE) & (worst <= LIKE_CELLS)
    scenes = (mean <= LIKE) & ~copies & across
    return equal, _first(distinct, pairs[copies], parts), _first(distinct, pairs[scenes], parts)


def duplicate_findings(equal: Sequence[Pair], copies: Sequence[Pair], scenes: Sequence[Pair]) -> list[Finding]:
    """Return a finding for each two splits that share pictures, with all pairs named, and for each split."""
    findings = []
    for what, pairs in (("equal files", equal), ("files that show the same picture", copies)):
        for (first, second), names in _by_parts(pairs).items():
            within = first == second
            where = f"within {first}" if within else f"in {first} and {second}"
            effect = (
                "" if within else f", so scores on {second} are too good; remove one of each, or keep both in one split"
            )
            severity: Severity = "note" if within else "warning"
            findings.append(Finding(severity, TOPIC, f"pairs of {what} {where}: {len(names)}{effect}", names))
    for (first, second), names in _by_parts(scenes).items():
        text = (
            f"images of {second} that look like images of {first} (frames of one scene, or edited copies): "
            f"{len(names)}, so scores on {second} may be too good; keep them in one split"
        )
        findings.append(Finding("warning", TOPIC, text, names))
    return findings


def _by_parts(pairs: Sequence[Pair]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the names of pairs by the parts that they are in."""
    by_parts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for a, b in pairs:
        by_parts[(a.part, b.part)].append(f"{a.part}/{a.name} = {b.part}/{b.name}")
    return {parts: tuple(names) for parts, names in by_parts.items()}


def near_pairs(hashes: np.ndarray) -> np.ndarray:
    """Return i64[P,2], in order: pairs i < j of u64[N] that differ in at most MOST_BITS bits.

    Of the images with an equal band of bits only the next NEIGHBOURS in order are compared.
    """
    count, pairs = len(hashes), [np.empty(0, np.int64)]
    for band in np.array_split(np.arange(64), BANDS):
        keys = (hashes >> np.uint64(band[0])) & np.uint64(2 ** len(band) - 1)
        order = np.lexsort((hashes, keys))
        for offset in range(1, min(NEIGHBOURS + 1, count)):
            first, second = order[:-offset], order[offset:]
            same = keys[first] == keys[second]
            if not same.any():
                break
            near = same & (np.bitwise_count(hashes[first] ^ hashes[second]) <= MOST_BITS)
            first, second = first[near], second[near]
            pairs.append(np.minimum(first, second) * count + np.maximum(first, second))
    return np.stack(np.divmod(np.unique(np.concatenate(pairs)), count), axis=1)


def _differences(thumbnails: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return f[P]: the mean difference of grey levels of each pair of u8[N,32,32], and that of its worst cell."""
    cells = SIDE // CELL
    mean, worst = np.zeros((2, len(pairs)), np.float32)
    for start in range(0, len(pairs), CHUNK):
        chunk = slice(start, start + CHUNK)
        i, j = pairs[chunk].T
        difference = cv2.absdiff(thumbnails[i], thumbnails[j])
        by_cell = difference.reshape(-1, cells, CELL, cells, CELL).mean((2, 4), dtype=np.float32)
        mean[chunk], worst[chunk] = by_cell.mean((1, 2)), by_cell.max((1, 2))
    return mean, worst


def _first(pictures: Sequence[Picture], pairs: np.ndarray, parts: np.ndarray) -> list[Pair]:
    """Return the first pair (i, j) for each j and each part of i; `pairs` are sorted."""
    chosen = np.unique(pairs[:, 1] * (parts.max() + 1) + parts[pairs[:, 0]], return_index=True)[1]
    return [(pictures[i], pictures[j]) for i, j in pairs[np.sort(chosen)].tolist()]
