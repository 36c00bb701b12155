"""The record of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["History"]


@dataclass
class History:
    """The losses of all epochs, and how training ended.

    Attributes
    ----------
    loss_curve : list of float
        Training loss of each epoch.
    validation_loss_curve : list of float or None
        Loss on the validation set; None without one.
    n_iter : int
        Number of completed epochs.
    best_iter : int
        The epoch with the lowest monitored loss, from 1; 0 before the first one has ended.
    best_loss : float
        Its monitored loss: the validation loss, or else the training loss.
    stop_reason : {"max_iter", "no_improvement", "callback", "interrupted", "diverged"}
        Why training ended.
    """

    loss_curve: list[float] = field(default_factory=list)
    validation_loss_curve: list[float] | None = None
    n_iter: int = 0
    best_iter: int = 0
    best_loss: float = math.inf
    stop_reason: str = "max_iter"
