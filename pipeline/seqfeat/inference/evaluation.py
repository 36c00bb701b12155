"""How well a network reconstructs a set of series. NumPy and torch only."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqfeat.inference.batched import reconstruct
from seqfeat.nn.backend import Backend
from seqfeat.runtime.ranks import ALONE, Ranks
from seqfeat.series.scaling import ChannelScaling, block_statistics, empty_statistics
from seqfeat.series.series import Series

__all__ = ["Evaluation", "evaluate"]


class Evaluation(NamedTuple):
    """How well a network reconstructs a set of series, in scaled units.

    Attributes
    ----------
    squared_error : ndarray of shape (N,)
        Sum of squared errors over the observed values of each series.
    n_values : ndarray of shape (N,)
        Number of observed values of each series.
    r_squared : float
        Fraction of the variance explained, with each channel's variance about its own mean.
    embedding_spread : float
        Standard deviation over the series of the embedding dimension that varies most.
    """

    squared_error: NDArray[np.float64]
    n_values: NDArray[np.int64]
    r_squared: float
    embedding_spread: float


def evaluate(
    backend: Backend,
    series: Series,
    scaling: ChannelScaling,
    *,
    rows: NDArray[np.int64] | None = None,
    ranks: Ranks = ALONE,
) -> Evaluation:
    """Compare series with their reconstructions in one pass: the given rows, or all of them.

    Where several processes share the series, the result is that of all of them.
    """
    own = _own_sums(backend, series, scaling, rows)
    errors, counts, of_values, of_embeddings = zip(*ranks.all_gather(own), strict=True)
    squared_error = np.concatenate(errors)
    values = reduce(ChannelScaling.merge, of_values)
    embeddings = reduce(ChannelScaling.merge, of_embeddings)
    total_variation = float((values.count * values.std**2).sum())
    return Evaluation(
        squared_error,
        np.concatenate(counts),
        _r_squared(float(squared_error.sum()), total_variation),
        float(embeddings.std.max()),
    )


def _own_sums(
    backend: Backend,
    series: Series,
    scaling: ChannelScaling,
    rows: NDArray[np.int64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], ChannelScaling, ChannelScaling]:
    """Return the errors and counts of each series, and statistics of values and embeddings."""
    squared_error = np.zeros(len(series), dtype=np.float64)
    n_values = np.zeros(len(series), dtype=np.int64)
    of_values = empty_statistics(series.n_channels)
    of_embeddings = empty_statistics(backend.network.architecture.n_features)
    for batch in reconstruct(backend, series, scaling, rows):
        error = (batch.reconstruction.astype(np.float64) - batch.scaled) ** 2
        scaled = batch.scaled.astype(np.float64)
        if batch.observed is not None:
            error[~batch.observed] = 0.0
            scaled[~batch.observed] = np.nan
        squared_error[batch.rows] = error.sum(axis=(1, 2))
        n_values[batch.rows] = (~np.isnan(scaled)).sum(axis=(1, 2))
        of_values = of_values.merge(block_statistics(scaled))
        embeddings = batch.embeddings[:, None, :].astype(np.float64)
        of_embeddings = of_embeddings.merge(block_statistics(embeddings))
    if rows is not None:
        squared_error, n_values = squared_error[rows], n_values[rows]
    return squared_error, n_values, of_values, of_embeddings


def _r_squared(error: float, total_variation: float) -> float:
    """Return 1 - error / total variation; 1 or 0 for constant series, as `r2_score` does."""
    if total_variation > 0.0:
        return 1.0 - error / total_variation
    return 1.0 if error == 0.0 else 0.0
