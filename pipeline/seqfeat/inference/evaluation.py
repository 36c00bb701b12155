"""New."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from seqfeat.inference.batched import rebuild
from seqfeat.nn.network import RecurrentAutoencoder
from seqfeat.runtime.ranks import ALONE, Ranks
from seqfeat.series import Series
from seqfeat.series.scaling import ChannelScaling, block_statistics, empty_statistics

if TYPE_CHECKING:
    pass

__all__ = ["Evaluation", "evaluate"]


class Evaluation(NamedTuple):
    """How well a network rebuilds a set of series, in scaled units.

    ``squared_error`` and ``n_values`` have shape (N,): the sum over each series'
    observed values, and their number. ``r_squared`` is the share of the
    variance explained, each channel about its own mean. ``embedding_spread`` is
    the largest standard deviation of any embedding dimension over the series.
    """

    squared_error: NDArray[np.float64]
    n_values: NDArray[np.int64]
    r_squared: float
    embedding_spread: float


def evaluate(
    network: RecurrentAutoencoder,
    series: Series,
    scaling: ChannelScaling,
    device: torch.device,
    *,
    rows: NDArray[np.int64] | None = None,
    ranks: Ranks = ALONE,
) -> Evaluation:
    """Compare series with their reconstructions in one pass.

    Some `rows` only, if they are given; and with those of all `ranks`.
    """
    tally = _Tally.of(network, series, scaling, device, rows)
    return _Tally.together(ranks.gather(tally)).evaluation()


class _Tally(NamedTuple):
    """What makes up an `Evaluation`, of some series."""

    squared_error: NDArray[np.float64]
    n_values: NDArray[np.int64]
    values: ChannelScaling
    embeddings: ChannelScaling

    @classmethod
    def of(
        cls,
        network: RecurrentAutoencoder,
        series: Series,
        scaling: ChannelScaling,
        device: torch.device,
        rows: NDArray[np.int64] | None,
    ) -> _Tally:
        squared_error = np.zeros(len(series), dtype=np.float64)
        n_values = np.zeros(len(series), dtype=np.int64)
        values_spread = empty_statistics(series.n_channels)
        embeddings_spread = empty_statistics(network.architecture.embedding_dim)
        for batch in rebuild(network, series, scaling, device, rows):
            error = (batch.rebuilt.astype(np.float64) - batch.scaled) ** 2
            scaled = batch.scaled.astype(np.float64)
            if batch.observed is not None:
                error[~batch.observed] = 0.0
                scaled[~batch.observed] = np.nan
            squared_error[batch.rows] = error.sum(axis=(1, 2))
            n_values[batch.rows] = (~np.isnan(scaled)).sum(axis=(1, 2))
            values_spread = values_spread.merge(block_statistics(scaled))
            embeddings = batch.embeddings[:, None, :].astype(np.float64)
            embeddings_spread = embeddings_spread.merge(block_statistics(embeddings))
        if rows is not None:
            squared_error, n_values = squared_error[rows], n_values[rows]
        return cls(squared_error, n_values, values_spread, embeddings_spread)

    @classmethod
    def together(cls, tallies: list[_Tally]) -> _Tally:
        errors, counts, values, embeddings = zip(*tallies, strict=True)
        return cls(
            np.concatenate(errors),
            np.concatenate(counts),
            reduce(ChannelScaling.merge, values),
            reduce(ChannelScaling.merge, embeddings),
        )

    def evaluation(self) -> Evaluation:
        total = float((self.values.count * self.values.std**2).sum())
        return Evaluation(
            self.squared_error,
            self.n_values,
            _r_squared(float(self.squared_error.sum()), total),
            float(self.embeddings.std.max()),
        )


def _r_squared(error: float, total: float) -> float:
    """Return 1 - error / total; of constant series, as `r2_score` has it, 1 or 0."""
    if total > 0.0:
        return 1.0 - error / total
    return 1.0 if error == 0.0 else 0.0
