"""Telling scikit-learn's callbacks, and a verbose user, how training goes."""

from __future__ import annotations

from typing import Any

from seqfeat.nn.network import RecurrentAutoencoder, weights_of
from seqfeat.runtime.ranks import current_ranks
from seqfeat.training.history import History

__all__ = ["EpochReporter"]


class EpochReporter:
    """Tells scikit-learn's callbacks, and a verbose user, of each epoch."""

    def __init__(
        self, estimator: Any, context: Any, learned: dict[str, Any], X: Any, y: Any
    ) -> None:
        self.estimator = estimator
        self.context = context
        self.learned = learned
        self.data = {"estimator": estimator, "X": X, "y": y}

    def begin_epoch(self) -> None:
        """Open the epoch's task."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.data)

    def end_epoch(self, network: RecurrentAutoencoder, history: History) -> bool:
        """Close the epoch's task; return whether a callback wants to stop."""
        if self.estimator.verbose and current_ranks().rank == 0:
            print(_progress_line(history, self.context.max_subtasks))
        stop = self.epoch.call_on_fit_task_end(
            **self.data,
            reconstruction_attributes=lambda: {**self.learned, "weights_": weights_of(network)},
        )
        return bool(stop)


def _progress_line(history: History, max_iter: int) -> str:
    line = f"Epoch {history.n_iter}/{max_iter}, loss = {history.loss_curve[-1]:.5f}"
    if history.validation_loss_curve:
        line += f", validation loss = {history.validation_loss_curve[-1]:.5f}"
    return line
