"""The detector that a command's flags name: a run's or a published one, with mistakes reported before the download."""

from collections.abc import Mapping
from typing import Any

from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.data import image_file
from jaxdet.io.progress import waiting
from jaxdet.load import LoadedDetector, Published, check_threshold, load_detector, load_published, run_path


def open_detector(
    workdir: str | None,
    published: Published | None,
    *,
    checkpoint: str = "best",
    threshold: float | None = None,
    config: Mapping[str, Any] | None = None,
    batch_size: int = 1,
) -> LoadedDetector:
    """Load the detector of a workdir or a published one.

    Args:
      workdir: a workdir, one of its checkpoints, or an exported file.
      published: a published detector in place of a workdir.
      checkpoint: 'best', 'last' or a saved step.
      threshold: minimum score of a detection, which is checked before the weights are read; None for the default.
      config: the workdir's config with other values; None for its own.
      batch_size: images per call of the device.

    Raises:
      InputError: both or neither are named, there is no such workdir or checkpoint, or no score has the threshold.
    """
    check_choice(workdir, published)
    if published:
        check_threshold(parse(published.config), threshold)
        with waiting("reading the detector"):
            return load_published(published, batch_size=batch_size)
    own, _ = experiment_json.read(experiment_json.run_folder(run_path(workdir or "")))
    check_threshold(parse(own if config is None else config), threshold)
    with waiting("reading the detector"):
        return load_detector(workdir or "", checkpoint, batch_size=batch_size, config=config)


def check_choice(workdir: str | None, published: Published | None) -> None:
    """Raise InputError unless either a workdir or a published detector is named."""
    if workdir and published:
        raise InputError(f"--workdir and --pretrained are both set ({workdir}, {published.name}); choose one.")
    if not workdir and not published:
        raise InputError(
            "--workdir is missing; give the folder that train.py wrote, such as runs/faster_shapes, or detect COCO's "
            "80 classes with --pretrained=coco."
        )


def pixel_limit(detector: LoadedDetector, max_pixels: int | None) -> int:
    """Return the size of the largest image that is read: the flag's, else that of the run's data set."""
    if max_pixels is not None:
        return max_pixels
    return getattr(detector.experiment.dataset, "max_pixels", image_file.MAX_PIXELS)
