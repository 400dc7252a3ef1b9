"""Training metrics: fetched one step late so the device never waits, checked for NaN, averaged over log_every steps."""

import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxdet.checks import InputError, listed
from jaxdet.training.metrics_writer import MetricsWriter
from jaxdet.training.optimizer import Schedule
from jaxdet.training.progress import Progress
from jaxdet.types import Metrics

MAX_STEPS_AHEAD = 2  # steps queued on the device: more would delay the answer to Ctrl-C, by up to 32 steps on a CPU
NAMES_SHOWN = 16  # images in an error


class TrainingError(InputError):
    """A failure of training that only the user can fix; scripts print it without a traceback."""


class Recorder:
    """Reports the mean of every `log_every` steps, and of the last ones, without making the device wait."""

    def __init__(
        self,
        writer: MetricsWriter,
        progress: Progress,
        *,
        log_every: int,
        schedule: Schedule,
        image_names: Sequence[str],
        window: dict[str, Any],
    ):
        """Start with `window`, the result of `window()` when the run was last saved, or {}."""
        self._writer, self._progress = writer, progress
        self._log_every, self._schedule, self._image_names = log_every, schedule, image_names
        # The sums since the last report, which belong to the checkpoint.
        self._count, self._sums = window.get("count", 0), dict(window.get("sums", {}))
        # The metrics still on the device: (step, image_id, metrics).
        self._waiting: list[tuple[int, np.ndarray, Metrics]] = []
        # The clock for images per second, which does not.
        self._since, self._images, self._steps = time.monotonic(), 0, 0
        # Steps handed to the device before the first report; -1 where that follows at once, and after it.
        self._unreported = 0 if log_every > MAX_STEPS_AHEAD + 1 else -1
        self._finished = 0  # steps of this process: the time left is shown from the third on

    def add(self, step: int, image_id: np.ndarray, metrics: Metrics) -> None:
        """Take the metrics, on the device, of the step just handed to it; fetch the window before, if it is complete.

        Waits for the device where it is more than MAX_STEPS_AHEAD steps behind.

        Raises:
          TrainingError: see `fetch`.
        """
        self._progress.step(step)
        self._waiting.append((step, image_id, metrics))
        if len(self._waiting) > MAX_STEPS_AHEAD:
            jax.block_until_ready(self._waiting[-1 - MAX_STEPS_AHEAD][2])
        if (step - 1) % self._log_every == 0:
            self.fetch(leave=1)
        if self._unreported >= 0:
            self._unreported += 1
            self._estimate(step)

    def fetch(self, *, leave: int = 0) -> None:
        """Fetch, check and report all steps but the last `leave`.

        Raises:
          TrainingError: at the first step with a metric that is not finite; names it and its images.
        """
        ready, self._waiting = self._waiting[: len(self._waiting) - leave], self._waiting[len(self._waiting) - leave :]
        fetched = jax.device_get([metrics for _, _, metrics in ready])
        for (step, image_id, _), arrays in zip(ready, fetched, strict=True):
            metrics = {name: float(value) for name, value in arrays.items()}
            self._check(step, image_id, metrics)
            self._count += 1
            self._images += len(image_id) * jax.process_count()
            self._steps += 1
            self._finished += 1
            self._sums = {name: self._sums.get(name, 0.0) + value for name, value in metrics.items()}
            if step % self._log_every == 0 or step == self._progress.steps:
                self._report(step)

    def window(self) -> dict[str, Any]:
        """Return the sums since the last report as JSON, for the checkpoint: so a resumed run reports equal means."""
        return {"count": self._count, "sums": self._sums}

    def exclude(self, seconds: float) -> None:
        """Exclude time that was not spent on steps from the speed."""
        self._since += seconds

    def _estimate(self, step: int) -> None:
        """Show the time left before the first report, as soon as a step is finished."""
        finished = self._unreported - MAX_STEPS_AHEAD
        if finished >= 1:
            left = (self._progress.steps - step) * (time.monotonic() - self._since) / finished
            self._progress.estimate(step, left)

    def _check(self, step: int, image_id: np.ndarray, metrics: dict[str, float]) -> None:
        bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
        if bad:
            images = [self._image_names[i] for i in dict.fromkeys(image_id.tolist())]
            names = listed(images, NAMES_SHOWN)
            raise TrainingError(
                f"train: metrics must be finite, got {', '.join(bad)} at step {step} (images {names}; learning rate "
                f"{self._rate(step):.3g}); lower the learning rate or warm up longer, and look at these images. "
                "Checkpoints saved before are kept."
            )

    def _rate(self, step: int) -> float:
        return float(self._schedule(step - 1).learning_rate)

    def _report(self, step: int) -> None:
        now = time.monotonic()
        seconds = max(now - self._since, 1e-9)
        metrics = {name: total / self._count for name, total in sorted(self._sums.items())}
        metrics["learning_rate"] = float(f"{self._rate(step):.6g}")  # 0.1, not float32's 0.10000000149
        speed = self._images / seconds
        self._writer.write(step, "train", metrics, images_per_second=round(speed, 3))
        left = (self._progress.steps - step) * seconds / self._steps
        self._progress.report(step, metrics, speed, left if self._finished > MAX_STEPS_AHEAD else None)
        # Start the next window.
        self._unreported = -1
        self._count, self._sums = 0, {}
        self._since, self._images, self._steps = now, 0, 0
