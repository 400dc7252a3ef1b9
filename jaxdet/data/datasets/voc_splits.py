"""Parts of PASCAL VOC by year and split: the sums that papers call 07, 07+12 and 07++12."""

from jaxdet.checks import InputError
from jaxdet.data.dataset import Dataset
from jaxdet.data.datasets.voc import LISTS, SPLITS, prepare_voc


def open_voc(*, split: str, data_dir: str, devkit: str, archives: str, mirror: str) -> Dataset:
    """Opens parts of PASCAL VOC by year, prepared where they are not yet.

    Args:
        split: YEAR/SPLIT, or a sum of such: '2007/trainval+2012/trainval' is what papers call 07+12,
            '2007/trainval+2007/test+2012/trainval' 07++12. Splits are train, validation (or val) and trainval, which
            is the sum of both, and in 2007 test; a slice as in TFDS may follow: '2007/train[:10%]'.
        data_dir, devkit, archives, mirror: as in prepare_voc.

    Raises:
        InputError: as prepare_voc; a split that is none, or that has no boxes (2012/test); an image comes twice.
    """
    parts = [part for term in split.split("+") for part in _year_and_split(term.strip())]
    sources = {"data_dir": data_dir, "devkit": devkit, "archives": archives, "mirror": mirror}
    builders = {year: prepare_voc(year=year, **sources) for year in dict.fromkeys(year for year, _ in parts)}
    return Dataset(*((builders[year], name) for year, name in parts))


def _year_and_split(term: str) -> list[tuple[str, str]]:
    """'2007/trainval' -> [('2007', 'train'), ('2007', 'validation')]."""
    year, _, split = term.partition("/")
    name, bracket, rest = split.partition("[")
    if year not in SPLITS or name not in (*LISTS, "val", "trainval"):
        raise InputError(
            f"split {term!r} must be a year and a split of VOC; such as 2007/trainval, 2007/test or 2012/trainval."
        )
    if name == "trainval":
        if bracket:
            raise InputError(
                f"split {term!r}: trainval has no order to slice; slice {year}/train and {year}/validation."
            )
        return [(year, "train"), (year, "validation")]
    name = "validation" if name == "val" else name
    if name not in SPLITS[year]:
        raise InputError(
            f"split {term!r} has no boxes to learn from or to score by: they are secret; name one of "
            f"{', '.join(SPLITS[year])} of {year}, or 2007/test."
        )
    return [(year, name + bracket + rest)]
