"""From which score on a series, or a timestep, is anomalous. NumPy and torch only."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqfeat.inference.timesteps import timestep_errors, timestep_scores
from seqfeat.nn.backend import Backend
from seqfeat.runtime.ranks import Ranks
from seqfeat.series.scaling import ChannelScaling
from seqfeat.series.series import Series

__all__ = ["Thresholds", "find_thresholds"]

Floats = NDArray[np.float64]


class Thresholds(NamedTuple):
    """Scores below which a share of series, and of their timesteps, lies."""

    series: float
    timesteps: float


class LowestScores:
    """The lowest scores of many, as far as a quantile needs them.

    Parameters
    ----------
    share : float
        The quantile.
    most : int
        Number of scores that there will be at most.
    """

    def __init__(self, share: float, most: int) -> None:
        self.share, self.n_kept, self.count = share, math.floor(share * most) + 2, 0
        self.kept: Floats = np.empty(0, dtype=np.float64)

    def add(self, scores: Floats, count: int | None = None) -> None:
        """Take more scores; `count` is how many they stand for, if lower ones are left out."""
        self.count += len(scores) if count is None else count
        self.kept = np.concatenate([self.kept, scores])
        if len(self.kept) > 2 * self.n_kept:
            self.kept = self._lowest()

    def _lowest(self) -> Floats:
        if len(self.kept) <= self.n_kept:
            return self.kept
        lowest: Floats = np.partition(self.kept, self.n_kept - 1)[: self.n_kept]
        return lowest

    def gather(self, ranks: Ranks) -> LowestScores:
        """Return those of all processes."""
        parts = ranks.all_gather((self._lowest(), self.count, self.n_kept))
        joined = LowestScores(self.share, 0)
        joined.n_kept = sum(n_kept for _, _, n_kept in parts)
        for kept, count, _ in parts:
            joined.add(kept, count)
        return joined

    def quantile(self) -> float:
        """Return the quantile, interpolated as by `numpy.quantile`."""
        place = self.share * (self.count - 1)
        lowest = np.sort(self.kept)
        low = lowest[int(place)]
        high = lowest[min(int(place) + 1, self.count - 1)]
        return float(low + (high - low) * (place - int(place)))


def find_thresholds(
    backend: Backend,
    series: Series,
    scaling: ChannelScaling,
    rows: NDArray[np.int64],
    share: float,
    ranks: Ranks,
) -> Thresholds:
    """Return the thresholds that `share` of the series and of their timesteps are below.

    Takes a pass over the series, and the memory of that share of their timesteps' scores.
    """
    of_series = LowestScores(share, len(rows))
    of_timesteps = LowestScores(share, int(series.lengths[rows].sum()))
    for _, errors in timestep_errors(backend, series, scaling, rows):
        n_observed = (~np.isnan(errors)).sum(axis=(1, 2))
        of_series.add(-np.nansum(errors, axis=(1, 2)) / n_observed)
        scores = timestep_scores(errors).ravel()
        of_timesteps.add(scores[~np.isnan(scores)])
    return Thresholds(of_series.gather(ranks).quantile(), of_timesteps.gather(ranks).quantile())
