"""Early stopping: the end of a training whose validation mAP no longer improves."""

from typing import Any


class Patience:
    """Counts the validations since the best one; its state belongs to the checkpoint, so that a resume is exact."""

    def __init__(self, most: int, state: dict[str, Any]):
        """Allow `most` validations without improvement, 0 for any number; `state` is that of a checkpoint, or {}."""
        self._most = most
        self._best: float | None = state.get("best")
        self._without = state.get("without_improvement", 0)

    def note(self, score: float | None) -> None:
        """Count a validation; None for an mAP that is not finite."""
        if score is not None and (self._best is None or score > self._best):
            self._best, self._without = score, 0
        else:
            self._without += 1

    @property
    def is_over(self) -> bool:
        return bool(self._most) and self._without >= self._most

    def state(self) -> dict[str, Any]:
        """Return the state as JSON, for the checkpoint."""
        return {"best": self._best, "without_improvement": self._without}

    def __str__(self) -> str:
        best = "none" if self._best is None else f"{self._best:.4g}"
        return f"val_map has not risen above {best} for {self._without} validations (training.patience={self._most})"
