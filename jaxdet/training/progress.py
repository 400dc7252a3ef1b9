"""What a person watching a run sees: a bar on a terminal, plain lines elsewhere."""

import datetime
from collections.abc import Iterable

import jax
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text


class Progress:
    """Shows stage, step, losses, learning rate, images a second and time left; process 0 only."""

    def __init__(self, name: str, *, start: int, steps: int):
        """Begins at finished step `start` of `steps`; `name` is the stage's."""
        self.name, self.steps = name, steps
        self._console = Console(quiet=jax.process_index() > 0, highlight=False)
        self._console.soft_wrap = not self._console.is_terminal  # a log file has no edge to wrap at
        columns = (
            TextColumn("{task.description}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
        )
        self._bar = _BarAndFigures(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task(name, total=steps, completed=start, text="")
        self._bar.start()

    def step(self, step: int) -> None:
        """Moves the bar to a step handed to the device."""
        self._bar.update(self._task, completed=step)

    def report(self, step: int, figures: dict[str, float], images_per_second: float, seconds_left: float) -> None:
        """Shows the figures of a finished step."""
        left = datetime.timedelta(seconds=round(seconds_left))
        speed = f"{images_per_second:.3g} images/s  {left} left"
        if self._console.is_terminal:
            self._bar.update(self._task, text=speed)
            self._bar.figures = Text(_text(figures))
        else:
            self.say(f"{self.name} {step}/{self.steps}  {_text(figures)}  {speed}")

    def say(self, text: str) -> None:
        """Prints a line of its own, above the bar."""
        self._console.print(text, markup=False)

    def close(self) -> None:
        """Leaves the terminal as it was."""
        self._bar.stop()


class _BarAndFigures(Bar):
    """rich's bar with the figures below it, where they may take as many lines as they need."""

    figures = Text()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield self.figures


def _text(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
