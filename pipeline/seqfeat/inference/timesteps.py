"""A trained network timestep by timestep: errors and states. NumPy and torch only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seqfeat.inference.batched import encode_timesteps, reconstruct
from seqfeat.nn.backend import Backend
from seqfeat.series.scaling import ChannelScaling
from seqfeat.series.series import Series

__all__ = ["timestep_errors", "timestep_scores", "timestep_states"]

Floats = NDArray[np.float64]


def timestep_errors(
    backend: Backend,
    series: Series,
    scaling: ChannelScaling,
    rows: NDArray[np.int64] | None = None,
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield row numbers (B,), and the squared error of each value (B, T, C), scaled.

    Nothing has an error that was not observed: NaN. Of the given rows, or of all.
    """
    for batch in reconstruct(backend, series, scaling, rows):
        errors = (batch.reconstruction.astype(np.float64) - batch.scaled) ** 2
        if batch.observed is not None:
            errors[~batch.observed] = np.nan
        yield batch.rows, errors


def timestep_scores(errors: Floats) -> Floats:
    """Return the negative error of each timestep, averaged over the channels observed at it.

    Shape: (..., C) -> (...,). NaN where there are none.
    """
    n_observed = (~np.isnan(errors)).sum(axis=-1)
    total = np.nansum(errors, axis=-1)
    mean = np.full(total.shape, np.nan)
    np.divide(total, n_observed, out=mean, where=n_observed > 0)
    return -mean


def timestep_states(
    backend: Backend, series: Series, scaling: ChannelScaling
) -> list[NDArray[np.float32]]:
    """Return the encoder's states, one array (T_i, D) for each series."""
    states: list[NDArray[np.float32]] = [np.empty((0, 0), dtype=np.float32)] * len(series)
    for rows, batch in encode_timesteps(backend, series, scaling):
        for row, of_series in zip(rows, batch, strict=True):
            states[row] = of_series[: series.lengths[row]].copy()
    return states
