"""The figures of the training steps: left on the device, fetched together a step late, checked, averaged, written."""

import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxdet.checks import InputError
from jaxdet.training.metrics_writer import MetricsWriter
from jaxdet.training.optimizer import LearningRate
from jaxdet.training.progress import Progress
from jaxdet.types import Metrics

AHEAD = 2  # steps left on the device while the host goes on: more would delay the answer to Ctrl-C, by 32 on a CPU


class TrainingError(InputError):
    """Training went wrong in a way only its user can mend; scripts print it without a traceback."""


class Recorder:
    """Reports the mean of every `log_every` steps, and of those left at the end, without making the device wait."""

    def __init__(
        self,
        writer: MetricsWriter,
        progress: Progress,
        *,
        log_every: int,
        learning_rate: LearningRate,
        image_names: Sequence[str],
        window: dict[str, Any],
    ):
        """Begins with `window`, what `window()` gave when the run was last saved, or {}."""
        self._writer, self._progress = writer, progress
        self._log_every, self._learning_rate, self._image_names = log_every, learning_rate, image_names
        self._count, self._sums = window.get("count", 0), dict(window.get("sums", {}))
        self._waiting: list[tuple[int, np.ndarray, Metrics]] = []
        self._since, self._images, self._steps = time.monotonic(), 0, 0

    def add(self, step: int, image_id: np.ndarray, metrics: Metrics) -> None:
        """Takes the metrics, on the device, of the step just handed to it; fetches a finished window of earlier ones.

        Waits for the device where it is more than AHEAD steps behind.

        Raises:
          TrainingError: see `fetch`.
        """
        self._progress.step(step)
        self._waiting.append((step, image_id, metrics))
        if len(self._waiting) > AHEAD:
            jax.block_until_ready(self._waiting[-1 - AHEAD][2])
        if (step - 1) % self._log_every == 0:
            self.fetch(leave=1)

    def fetch(self, *, leave: int = 0) -> None:
        """Fetches, checks and reports all steps but the last `leave`.

        Raises:
          TrainingError: at the first step whose figures are not all finite; names it and its images.
        """
        ready, self._waiting = self._waiting[: len(self._waiting) - leave], self._waiting[len(self._waiting) - leave :]
        values = jax.device_get([metrics for _, _, metrics in ready])
        for (step, image_id, _), metrics in zip(ready, values, strict=True):
            figures = {name: float(value) for name, value in metrics.items()}
            self._check(step, image_id, figures)
            self._count += 1
            self._images += len(image_id) * jax.process_count()
            self._steps += 1
            self._sums = {name: self._sums.get(name, 0.0) + value for name, value in figures.items()}
            if step % self._log_every == 0 or step == self._progress.steps:
                self._report(step)

    def window(self) -> dict[str, Any]:
        """Gives the unreported part as JSON, for the checkpoint: so a resumed run reports the same means."""
        return {"count": self._count, "sums": self._sums}

    def exclude(self, seconds: float) -> None:
        """Leaves time spent on other work than steps out of the speed."""
        self._since += seconds

    def _check(self, step: int, image_id: np.ndarray, figures: dict[str, float]) -> None:
        bad = [f"{name} is {value}" for name, value in figures.items() if not math.isfinite(value)]
        if bad:
            names = ", ".join(self._image_names[i] for i in image_id)
            rate = float(self._learning_rate(step - 1))
            raise TrainingError(
                f"train: figures must be finite, got {', '.join(bad)} at step {step} (images {names}; learning rate "
                f"{rate:.3g}); lower the learning rate or warm up longer, and look at these images. "
                "Checkpoints saved before are kept."
            )

    def _report(self, step: int) -> None:
        now = time.monotonic()
        seconds = max(now - self._since, 1e-9)
        figures = {name: total / self._count for name, total in sorted(self._sums.items())}
        figures["learning_rate"] = float(f"{self._learning_rate(step - 1):.6g}")  # 0.1, not float32's 0.10000000149
        speed = self._images / seconds
        self._writer.write(step, "train", figures, images_per_second=round(speed, 3))
        left = (self._progress.steps - step) * seconds / self._steps
        self._progress.report(step, figures, speed, left)
        self._count, self._sums = 0, {}
        self._since, self._images, self._steps = now, 0, 0
