"""The training loop of any stage: steps, metrics, validation, checkpoints and graceful shutdown."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np

from jaxdet.training.checkpoints import Checkpoints
from jaxdet.training.compilation import ImageSize, compile_steps, image_size
from jaxdet.training.curves import Curves
from jaxdet.training.metrics_writer import MetricsWriter
from jaxdet.training.patience import Patience
from jaxdet.training.preemption import Interrupted, stop_request
from jaxdet.training.profile import Profile
from jaxdet.training.progress import Progress, metrics_text
from jaxdet.training.recorder import Recorder
from jaxdet.training.stage import Stage
from jaxdet.training.state import TrainState, params
from jaxdet.training.step import TrainStep
from jaxdet.types import Batch, Params

Batches = Callable[[int], Generator[Batch, None, None]]  # finished steps -> host batches of all steps after them
Shapes = Callable[[int], Sequence[Batch]]  # finished steps -> shapes of the global batches after them, each size once
Evaluate = Callable[[Params, int], dict[str, float]]  # (parameters, step) -> validation metrics


def run(
    stage: Stage,
    state: TrainState,
    train_step: TrainStep,
    batches: Batches,
    shapes: Shapes,
    *,
    put: Callable[[Batch], Batch],
    workdir: str | os.PathLike,
    image_names: Sequence[str],
    evaluate: Evaluate | None,
) -> TrainState:
    """Train a stage from the newest checkpoint in `workdir`, if there is one; return the last state.

    It ends at the last step, or when stage.patience is over.

    A run that is interrupted at any moment and started again ends with the same parameters, and the same metrics.jsonl
    except for times, as a run without interruption, if `batches` and `train_step` depend only on step and state.

    Args:
      stage: see Stage; its train step and batches are built by the caller.
      state: the initial state, placed on the mesh; donated, so do not use it afterwards.
      train_step: the result of step.make_train_step.
      batches: finished steps -> generator of the host batches of all steps after them.
      shapes: finished steps -> batches of jax.ShapeDtypeStruct, one for each image size among those of all later
        steps, over all processes; for each the step is compiled before the first one.
      put: host batch -> batch on the devices.
      workdir: the stage's own folder; the caller holds its lock.
      image_names: the name of each image_id, for errors.
      evaluate: (parameters, step) -> metrics of the validation split, "val_map" among them; called every
        stage.eval_every steps and after the last. The checkpoint of best val_map is kept. None for no validation.

    Raises:
      InputError: the workdir is not writable or too small, or holds checkpoints of another model.
      TrainingError: at the first step with a metric that is not finite.
      SystemExit: 128 + signal, after SIGTERM or Ctrl-C, and 0 after the stage's deadline, once everything is saved.
    """
    with contextlib.ExitStack() as stack:
        loop = _Loop(stage, state, stack, workdir=workdir, image_names=image_names, evaluate=evaluate)
        return loop.run(train_step, batches, shapes, put)


class _Loop:
    """A stage in training: its state on the device and the files that record it."""

    def __init__(
        self,
        stage: Stage,
        state: TrainState,
        stack: contextlib.ExitStack,
        *,
        workdir: str | os.PathLike,
        image_names: Sequence[str],
        evaluate: Evaluate | None,
    ):
        """Restore the newest checkpoint, if any, and open the files; `stack` closes them."""
        self._stage, self._stack, self._evaluate = stage, stack, evaluate

        # Restore the newest checkpoint.
        self._checkpoints = Checkpoints(workdir, keep=stage.keep)
        self._checkpoints.check_space(state)
        self._state, metadata = self._checkpoints.restore(state) or (state, {})
        if self._state is not state:
            for leaf in jax.tree.leaves(state):  # the caller may still refer to it, and memory is short
                leaf.delete()
        self._start = start = int(self._state.step)
        self._evaluation_due = metadata.get("evaluation_due", False)
        self._patience = Patience(stage.patience, metadata.get("patience", {}))

        # Open the outputs.
        self._writer = MetricsWriter(workdir, stage=stage.name, start=start)
        stack.callback(self._writer.close)
        self._curves = Curves(workdir) if jax.process_index() == 0 else None
        self._progress = Progress(stage.name, start=start, steps=stage.steps)
        stack.callback(self._progress.close)
        if start:
            done = ", the last: nothing is left to train" if start == stage.steps else ""
            self._progress.say(f"{stage.name}: resuming from the checkpoint of step {start}{done}")
        self._recorder = Recorder(
            self._writer,
            self._progress,
            log_every=stage.log_every,
            schedule=stage.schedule,
            image_names=image_names,
            window=metadata.get("window", {}),
        )
        folder = Path(workdir) / "profile"
        self._profile = Profile(stage.profile, folder, lambda text: self._progress.say(f"{stage.name}: {text}"))
        stack.callback(self._profile.close)
        self._stop = stack.enter_context(stop_request())
        self._programs: dict[ImageSize, TrainStep] = {}

    def run(self, train_step: TrainStep, batches: Batches, shapes: Shapes, put: Callable[[Batch], Batch]) -> TrainState:
        """Train from the restored step to the last."""
        stage = self._stage
        if self._evaluate and self._evaluation_due:  # the run was stopped during this validation
            self._finish_step(self._start, evaluate=self._evaluate, checkpoint=True)
        if self._start == stage.steps or self._is_patience_over(self._start):
            return self._state
        self._compile(train_step, shapes(self._start))
        stream = self._stack.enter_context(contextlib.closing(batches(self._start)))  # closing ends its threads
        for step in range(self._start + 1, stage.steps + 1):
            batch = next(stream)
            self._profile.before(step)
            self._train(step, batch, put(batch))
            self._profile.after(step, self._state)
            last = step == stage.steps
            validate = self._evaluate is not None and (last or step % stage.eval_every == 0)
            checkpoint = last or step % stage.checkpoint_every == 0
            self._finish_step(step, evaluate=self._evaluate if validate else None, checkpoint=checkpoint)
            if self._is_patience_over(step):
                break
        return self._state

    def _is_patience_over(self, step: int) -> bool:
        """Return whether the stage ends at a step before its last, and say so."""
        if step == self._stage.steps or not self._patience.is_over:
            return False
        self._progress.say(f"{self._stage.name}: ended early at step {step}: {self._patience}")
        return True

    def _compile(self, train_step: TrainStep, shapes: Sequence[Batch]) -> None:
        """Compile the step for all image sizes; a signal stops the run at once, for there is nothing to save."""
        before = time.monotonic()
        try:
            with self._stop.interruptible():
                self._programs = compile_steps(
                    train_step,
                    self._state,
                    shapes,
                    self._stage.schedule(self._start),
                    accumulate=self._stage.accumulate,
                    progress=self._progress,
                )
        except Interrupted:
            self._leave(self._stop.received(self._start), f"before step {self._start + 1}")
        self._recorder.exclude(time.monotonic() - before)

    def _train(self, step: int, batch: Batch, on_device: Batch) -> None:
        """Hand one step to the device."""
        train_step = self._programs[image_size(batch)]
        self._state, metrics = train_step(self._state, on_device, self._stage.schedule(step - 1))
        self._recorder.add(step, np.asarray(batch.image_id), metrics)

    def _finish_step(self, step: int, *, evaluate: Evaluate | None, checkpoint: bool) -> None:
        """Validate, save and stop, whichever is due; an interrupted validation is repeated after the restart."""
        signalled = self._stop.received(step)
        out_of_time = step < self._stage.steps and self._stop.is_past(self._stage.deadline, step)
        if not (evaluate or checkpoint or signalled or out_of_time):
            return
        self._recorder.fetch()  # raises for metrics that are not finite, so such a state is never saved
        before = time.monotonic()
        metadata: dict[str, Any] = {"window": self._recorder.window()}

        # Validate; a new best score is saved.
        if evaluate and not signalled:
            score, signalled = self._validate(evaluate, step)
            best = self._checkpoints.best_score()
            checkpoint |= score is not None and (best is None or score > best)
            metadata["val_map"] = score
            if not signalled:
                self._patience.note(score)
                checkpoint |= self._patience.is_over

        # Save.
        metadata["patience"] = self._patience.state()
        if checkpoint or signalled or out_of_time:
            metadata["evaluation_due"] = evaluate is not None and signalled is not None
            self._checkpoints.save(self._state, metadata)
        self._recorder.exclude(time.monotonic() - before)

        # Stop.
        if signalled:
            self._leave(signalled, f"step {step} saved")
        if out_of_time:
            resume = "run the same command again to resume"
            self._progress.say(f"{self._stage.name}: training.max_hours is over, step {step} saved; {resume}")
            raise SystemExit(0)

    def _leave(self, signalled: int | None, state: str) -> NoReturn:
        """End the process after a signal; `state` is what the line says of the training."""
        assert signalled is not None
        name = signal.Signals(signalled).name
        self._progress.say(f"{self._stage.name}: stopped by {name}, {state}; run the same command again to resume")
        raise SystemExit(128 + signalled)

    def _validate(self, evaluate: Evaluate, step: int) -> tuple[float | None, int | None]:
        """Return the mAP (None if it is not finite) and the signal that interrupted the validation, if any."""
        try:
            with self._stop.interruptible():
                metrics = evaluate(params(self._state), step)
        except Interrupted:
            return None, self._stop.received(step)
        self._writer.write(step, "val", metrics)
        if self._curves:
            self._curves.draw()
        self._progress.say(f"{self._stage.name} {step}/{self._stage.steps}  validation: {metrics_text(metrics)}")
        return (metrics["val_map"] if math.isfinite(metrics["val_map"]) else None), None
