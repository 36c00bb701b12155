"""Reports on training, to scikit-learn's callbacks and to verbose users."""

from __future__ import annotations

from typing import Any

from seqfeat.nn.network import RecurrentAutoencoder, weights_of
from seqfeat.training.history import History

__all__ = ["EpochReporter"]


class EpochReporter:
    """Reports each epoch to scikit-learn's callbacks and, if verbose, prints its loss.

    Parameters
    ----------
    context : CallbackContext
        The context of the fit.
    estimator, X, y
        Passed on to the callbacks.
    attributes : dict
        Learned attributes that are known before training.
    is_verbose : bool
        Whether to print a line per epoch.
    """

    def __init__(
        self,
        context: Any,
        estimator: Any,
        X: Any,
        y: Any,
        attributes: dict[str, Any],
        is_verbose: bool,
    ) -> None:
        self.context, self.attributes, self.is_verbose = context, attributes, is_verbose
        self.data = {"estimator": estimator, "X": X, "y": y}

    def begin_epoch(self) -> None:
        """Begin the epoch's task."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.data)

    def end_epoch(self, network: RecurrentAutoencoder, history: History) -> bool:
        """End the epoch's task; return whether a callback wants to stop."""
        if self.is_verbose:
            print(_progress_line(history, self.context.max_subtasks))
        stop = self.epoch.call_on_fit_task_end(
            **self.data,
            reconstruction_attributes=lambda: {**self.attributes, "weights_": weights_of(network)},
        )
        return bool(stop)


def _progress_line(history: History, max_iter: int) -> str:
    line = f"Epoch {history.n_iter}/{max_iter}, loss = {history.loss_curve[-1]:.5f}"
    if history.validation_loss_curve:
        line += f", validation loss = {history.validation_loss_curve[-1]:.5f}"
    return line
