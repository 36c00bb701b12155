"""Scores of predicted numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error, r2_score

from seqfeat.exceptions import InputError

__all__ = ["Numbers", "as_columns", "score_numbers"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Numbers:
    """Predicted numbers and, if they are known, the true ones with scores.

    Attributes
    ----------
    predicted : ndarray of shape (n_samples, n_targets)
    true : ndarray of shape (n_samples, n_targets) or None
    r_squared, mean_absolute_error : list of float
        Of each target; empty if the true numbers are not known.
    mean_score : float
        R squared of predicting the mean of the training series, or 0 if those are not known, for
        the mean of these.
    knows_training : bool
        Whether they are.
    """

    predicted: Floats
    true: Floats | None = None
    r_squared: list[float] | None = None
    mean_absolute_error: list[float] | None = None
    mean_score: float = 0.0
    knows_training: bool = False

    @property
    def mean_r_squared(self) -> float:
        """R squared, averaged over the targets."""
        return float(np.mean(self.r_squared or [np.nan]))

    def facts(self, row: int) -> list[str]:
        """Return what the report says of a series."""
        facts = [f"predicted: {_text(self.predicted[row])}"]
        if self.true is not None:
            facts.insert(0, f"true: {_text(self.true[row])}")
        return facts


def as_columns(numbers: Any) -> Floats:
    """Return numbers of shape (n_samples,) or (n_samples, n_targets) as columns."""
    columns = np.asarray(numbers, dtype=np.float64)
    return columns[:, None] if columns.ndim == 1 else columns


def score_numbers(predicted: Floats, true: Floats | None, y_train: Any = None) -> Numbers:
    """Compare predictions with the true numbers, if these are known."""
    if true is None:
        return Numbers(predicted)
    if true.shape != predicted.shape:
        raise InputError(
            f"y has {true.shape[1]} numbers for each series, but the model predicts "
            f"{predicted.shape[1]}. Pass as many, in the order of its training."
        )
    mean_score = 0.0
    if y_train is not None:
        constant = np.broadcast_to(as_columns(y_train).mean(axis=0), true.shape)
        mean_score = float(r2_score(true, constant))
    return Numbers(
        predicted,
        true,
        np.atleast_1d(r2_score(true, predicted, multioutput="raw_values")).tolist(),
        np.atleast_1d(mean_absolute_error(true, predicted, multioutput="raw_values")).tolist(),
        mean_score,
        y_train is not None,
    )


def _text(numbers: Floats) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)
