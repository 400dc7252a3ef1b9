"""The images of a split as training would read them: what is used, what is skipped and why, and how they are stored."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from jaxdet.data.datasets.folder_format import ListedImage
from jaxdet.data.datasets.folder_images import SkippedImage, UsedImage, read_images
from jaxdet.data.image_file import EXIF_ORIENTATION, is_deep_colour, open_image, read_content
from jaxdet.doctor.duplicates import Picture, thumbnail
from jaxdet.doctor.finding import Finding, Severity
from jaxdet.evaluation.tables import GroundTruthTable
from jaxdet.io.progress import progress

TOPIC = "images"
GREY, DEEP, CMYK, TRANSPARENT, ROTATED = "grey", "of more than 8 bits", "CMYK", "transparent", "rotated by EXIF"
EFFECTS = {  # what training does with images of a kind
    GREY: "all three channels are equal",
    DEEP: "reduced to 8 bits, and stretched where less than half of the range is used",
    CMYK: "converted to RGB without the printer's colour profile",
    TRANSPARENT: "shown on white",
    ROTATED: "turned as their annotations are",
}
CORRECTED = ("box clipped to the image", "taken as 0")  # ends of faults after which the object is still used
FEW = 0.01  # share of the images or objects whose loss does not stop a training
LARGE = 20  # times the pixels of the input: decoding costs more than training gains


@dataclasses.dataclass(frozen=True)
class Survey:
    """A split.

    Attributes:
      part: 'train', 'validation' or 'test'; `split` is its name in the folder.
      names: N image names.
      image_sizes: i64[N,2] (height, width) as trained on.
      truth: the objects.
      pictures: of the N images.
      kinds: GREY and so on -> names of these images.
      skipped: reason -> names of the images that are not used.
      faults: reason -> image names, one for each object.
      stored_bytes: of the prepared copy.
      sampled: the folder has no such split; it is sampled from another one.
    """

    part: str
    split: str
    names: list[str]
    image_sizes: np.ndarray
    truth: GroundTruthTable
    pictures: list[Picture]
    kinds: dict[str, list[str]]
    skipped: dict[str, list[str]]
    faults: dict[str, list[str]]
    stored_bytes: int
    sampled: bool

    def row(self) -> dict[str, object]:
        """Return the numbers of the report."""
        return {
            "split": self.split,
            "images": len(self.names),
            "skipped": sum(map(len, self.skipped.values())),
            "objects": len(self.truth.labels),
            "difficult": int(self.truth.difficult.sum()),
            "megabytes": round(self.stored_bytes / 1e6, 1),
        }


def examine_split(
    images: Sequence[ListedImage],
    class_names: tuple[str, ...],
    *,
    part: str,
    split: str,
    sampled: bool,
    annotated: bool,
    max_pixels: int,
) -> Survey:
    """Decode the images of a split, as its preparation would, and write nothing; see read_images for the arguments."""
    used: list[UsedImage] = []
    pictures: list[Picture] = []
    kinds, skipped, faults = (defaultdict[str, list[str]](list) for _ in range(3))
    stored = 0
    read = read_images(images, class_names, annotated=annotated, max_pixels=max_pixels)
    for image in progress(read, name=f"examining {split}", total=len(images)):
        if isinstance(image, SkippedImage):
            skipped[image.reason].append(image.listed)
            continue
        digest = hashlib.sha256(image.encoded).hexdigest()
        pictures.append(Picture(part, image.name, digest, thumbnail(image.encoded)))
        for kind in kinds_of(read_content(image.file, name=image.name, max_pixels=max_pixels)):
            kinds[kind].append(image.name)
        for fault in image.faults:
            faults[fault].append(image.name)
        stored += len(image.encoded)
        used.append(dataclasses.replace(image, encoded=b""))
    sizes = np.array([image.size for image in used], np.int64).reshape(-1, 2)
    return Survey(
        part=part,
        split=split,
        names=[image.name for image in used],
        image_sizes=sizes,
        truth=_table(used, class_names),
        pictures=pictures,
        kinds=dict(kinds),
        skipped=dict(skipped),
        faults=dict(faults),
        stored_bytes=stored,
        sampled=sampled,
    )


def kinds_of(encoded: bytes) -> list[str]:
    """Return what is unusual about an image file, from its header."""
    with open_image(encoded) as image:
        deep = image.mode.startswith(("I", "F")) or is_deep_colour(image, encoded)
        kinds = {
            GREY: image.mode in ("1", "L", "LA"),
            DEEP: deep,
            CMYK: image.mode == "CMYK",
            TRANSPARENT: "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa", "RGBA"),
            ROTATED: image.getexif().get(EXIF_ORIENTATION, 1) not in (0, 1),
        }
    return [kind for kind, applies in kinds.items() if applies]


def image_findings(survey: Survey, *, short_side: int, long_side: int) -> list[Finding]:
    """Return what is wrong with the images and annotations of a split."""
    findings = []
    images, objects = len(survey.names), len(survey.truth.labels)
    total = images + sum(map(len, survey.skipped.values()))
    for reason, names in survey.skipped.items():
        text = f"skipped, {len(names)} of {total} images of {survey.part}: {reason}"
        findings.append(Finding(_severity(len(names), total), TOPIC, text, tuple(names)))
    for reason, names in survey.faults.items():
        corrected = reason.endswith(CORRECTED)
        severity: Severity = "note" if corrected else _severity(len(names), objects + len(names))
        text = (
            f"{'corrected' if corrected else 'left out'}, {len(names)} of {objects} objects of {survey.part}: {reason}"
        )
        findings.append(Finding(severity, TOPIC, text, tuple(dict.fromkeys(names))))
    for kind, names in survey.kinds.items():
        text = f"{kind}, {len(names)} of {images} images of {survey.part}: {EFFECTS[kind]}"
        findings.append(Finding("note", TOPIC, text, tuple(names)))
    pixels = survey.image_sizes.prod(1)
    large = np.flatnonzero(pixels > LARGE * short_side * long_side)
    if len(large):
        text = (
            f"far larger than the input, {len(large)} of {images} images of {survey.part}, up to "
            f"{pixels.max() / 1e6:.1f} megapixels: smaller copies are read faster"
        )
        findings.append(Finding("note", TOPIC, text, tuple(survey.names[i] for i in large)))
    empty = images - len(np.unique(survey.truth.image))
    if 0 < empty < images:
        findings.append(
            Finding("note", TOPIC, f"without objects, {empty} of {images} images of {survey.part}: background")
        )
    return findings


def _table(used: Sequence[UsedImage], class_names: tuple[str, ...]) -> GroundTruthTable:
    labels = {name: label for label, name in enumerate(class_names, 1)}
    objects = [(i, each) for i, image in enumerate(used) for each in image.objects]
    return GroundTruthTable(
        image=np.array([i for i, _ in objects], np.int32),
        boxes=np.array([each.box for _, each in objects], np.float64).reshape(-1, 4),
        labels=np.array([labels[each.name] for _, each in objects], np.int32),
        difficult=np.array([each.difficult for _, each in objects], bool),
    )


def _severity(lost: int, total: int) -> Severity:
    return "error" if lost > FEW * total else "warning"
