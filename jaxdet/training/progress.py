"""Progress of training as people watch it: a bar on a terminal, plain lines elsewhere."""

import contextlib
import datetime
from collections.abc import Iterable

import jax
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.text import Text

from jaxdet.io.progress import Bar, shown


class Progress:
    """Shows stage, step, losses, learning rate, images per second and time left; process 0 only."""

    def __init__(self, name: str, *, start: int, steps: int):
        """Start at finished step `start` of `steps`; `name` is that of the stage."""
        self.name, self.steps = name, steps
        self._console = Console(quiet=jax.process_index() > 0, highlight=False)
        self._console.soft_wrap = not self._console.is_terminal  # lines of a log file are not wrapped
        columns = (
            SpinnerColumn(),  # turns as long as the process is alive
            TextColumn("{task.description}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
        )
        self._bar = _BarWithMetrics(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task(name, total=steps, completed=start, text="")
        self._estimated = False
        self._shown = contextlib.ExitStack()
        if self._console.is_terminal:
            self._shown.enter_context(shown(self._bar))

    def step(self, step: int) -> None:
        """Move the bar to a step that was handed to the device."""
        self._bar.update(self._task, completed=step)

    def report(
        self, step: int, metrics: dict[str, float], images_per_second: float, seconds_left: float | None
    ) -> None:
        """Show the metrics of a finished step; seconds_left is None in the first steps."""
        speed = f"{images_per_second:.3g} images/s"
        if seconds_left is not None:
            speed += f"  {datetime.timedelta(seconds=round(seconds_left))} left"
        if self._console.is_terminal:
            self._bar.update(self._task, text=speed)
            self._bar.metrics = Text(metrics_text(metrics))
        else:
            self.say(f"{self.name} {step}/{self.steps}  {metrics_text(metrics)}  {speed}")

    def estimate(self, step: int, seconds_left: float) -> None:
        """Show the time left before the first report: in the bar, or in one line without it."""
        left = f"about {datetime.timedelta(seconds=round(seconds_left))} left"
        if self._console.is_terminal:
            self._bar.update(self._task, text=left)
        elif not self._estimated:
            self.say(f"{self.name} {step}/{self.steps}  {left}")
        self._estimated = True

    def say(self, text: str) -> None:
        """Print a line, above the bar."""
        self._console.print(text, markup=False)

    def close(self) -> None:
        """Stop the bar and restore the terminal."""
        self._shown.close()


def metrics_text(metrics: dict[str, float]) -> str:
    """Return the metrics on one line, as in "loss 1.235  learning_rate 0.001"."""
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())


class _BarWithMetrics(Bar):
    """rich's bar with the metrics below it, where they may take as many lines as they need."""

    metrics = Text()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield self.metrics
