"""Errors of all series and reconstructions of some, a batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.inference.batched import reconstruct
from seqfeat.inference.evaluation import Evaluation, evaluate
from seqfeat.inference.fitted import fitted_backend, fitted_scaling, validate_series
from seqfeat.series import Series

__all__ = ["reconstructed_rows", "series_and_errors"]


def series_and_errors(autoencoder: LSTMAutoencoder, X: Any) -> tuple[Series, Evaluation]:
    """Convert series as the autoencoder does, and compare all of them with their reconstructions.

    One pass; of what was rebuilt, only the errors are kept.
    """
    check_is_fitted(autoencoder)
    series = validate_series(autoencoder, X)
    return series, evaluate(fitted_backend(autoencoder), series, fitted_scaling(autoencoder))


def reconstructed_rows(
    autoencoder: LSTMAutoencoder, series: Series, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what the network makes of some series, in their units, NaN behind each one's end.

    Shape (len(rows), T, C), in the order of `rows`.
    """
    chosen = series.take(rows)
    scaling = fitted_scaling(autoencoder)
    result = np.full((len(rows), chosen.n_timesteps, chosen.n_channels), np.nan)
    for batch in reconstruct(fitted_backend(autoencoder), chosen, scaling):
        values = scaling.invert(batch.reconstruction)
        values[np.arange(values.shape[1]) >= chosen.lengths[batch.rows, None]] = np.nan
        result[batch.rows, : values.shape[1]] = values
    return result
