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
        Sum over each series' observed values.
    n_values : ndarray of shape (N,)
        Number of each series' observed values.
    r_squared : float
        Share of the variance explained, each channel about its own mean.
    embedding_spread : float
        Largest standard deviation of an embedding dimension over the series.
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
    """Compare series, all or some rows, with their reconstructions in one pass; of all `ranks`."""
    own = _own_sums(backend, series, scaling, rows)
    errors, counts, values, embeddings = zip(*ranks.gather(own), strict=True)
    squared_error = np.concatenate(errors)
    variance = reduce(ChannelScaling.merge, values)
    total = float((variance.count * variance.std**2).sum())
    return Evaluation(
        squared_error,
        np.concatenate(counts),
        _r_squared(float(squared_error.sum()), total),
        float(reduce(ChannelScaling.merge, embeddings).std.max()),
    )


def _own_sums(
    backend: Backend,
    series: Series,
    scaling: ChannelScaling,
    rows: NDArray[np.int64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], ChannelScaling, ChannelScaling]:
    """Return errors and counts of own series, and statistics of their values and embeddings."""
    squared_error = np.zeros(len(series), dtype=np.float64)
    n_values = np.zeros(len(series), dtype=np.int64)
    of_values = empty_statistics(series.n_channels)
    of_embeddings = empty_statistics(backend.network.architecture.embedding_dim)
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


def _r_squared(error: float, total: float) -> float:
    """Return 1 - error / total; for constant series 1 or 0, as `r2_score` does."""
    if total > 0.0:
        return 1.0 - error / total
    return 1.0 if error == 0.0 else 0.0
