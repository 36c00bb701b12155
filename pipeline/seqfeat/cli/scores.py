"""Scores that grow with a stream, and how sure they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.embedding import fitted_scaling
from seqfeat.scaling import channel_scaling, empty_statistics
from seqfeat.series import as_series

__all__ = ["RunningScore", "accuracy_interval"]

NORMAL_95 = 1.959963984540054
"""Standard deviations within which 95 % of a normal distribution lie."""


def accuracy_interval(n_right: int, n_series: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share.

    Examples
    --------
    >>> from seqfeat.cli.scores import accuracy_interval
    >>> low, high = accuracy_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    share, z = n_right / n_series, NORMAL_95
    spread = z * math.sqrt(share * (1 - share) / n_series + (z / (2 * n_series)) ** 2)
    centre = share + z**2 / (2 * n_series)
    widening = 1 + z**2 / n_series
    return max(0.0, (centre - spread) / widening), min(1.0, (centre + spread) / widening)


class RunningScore:
    """`LSTMAutoencoder.score` of series that come in batches."""

    def __init__(self, autoencoder: LSTMAutoencoder) -> None:
        self.n_series = 0
        self._autoencoder = autoencoder
        self._squared_error = 0.0
        self._spread = empty_statistics(autoencoder.n_channels_in_)

    def add(self, X: Any) -> None:
        """Add a batch of series."""
        series = as_series(X, missing=self._autoencoder.missing)
        observed = series.observed
        if observed is None:
            n_values = np.full(len(series), series.n_timesteps * series.n_channels)
        else:
            n_values = observed.sum(axis=(1, 2))
        self._squared_error -= float(self._autoencoder.score_samples(X) @ n_values)
        self._spread = self._spread.merge(channel_scaling(series))
        self.n_series += len(series)

    @property
    def r_squared(self) -> float:
        """The share of the variance that the reconstruction explains."""
        scale = fitted_scaling(self._autoencoder).scale
        total = float((self._spread.count * (self._spread.deviation / scale) ** 2).sum())
        if total > 0.0:
            return 1.0 - self._squared_error / total
        return 1.0 if self._squared_error == 0.0 else 0.0
