"""What a fitted autoencoder makes of series, for plots: errors and reconstructions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.inference.decoding import reconstructions
from seqfeat.inference.evaluation import Evaluation, evaluate
from seqfeat.inference.fitted import fitted_backend, fitted_scaling, validate_series
from seqfeat.series import Series

__all__ = ["evaluate_series", "reconstruct_rows"]


def evaluate_series(autoencoder: LSTMAutoencoder, X: Any) -> tuple[Series, Evaluation]:
    """Return the series that `X` holds and their reconstruction errors.

    One pass over the series. The reconstructions themselves are not kept.
    """
    check_is_fitted(autoencoder)
    series = validate_series(autoencoder, X)
    return series, evaluate(fitted_backend(autoencoder), series, fitted_scaling(autoencoder))


def reconstruct_rows(
    autoencoder: LSTMAutoencoder, series: Series, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the reconstructions of the series `rows`, in that order and in original units.

    The shape is (len(rows), n_timesteps, n_channels), padded with NaN.
    """
    selected = series.take(rows)
    scaling = fitted_scaling(autoencoder)
    result = np.full((len(rows), selected.n_timesteps, selected.n_channels), np.nan)
    for found, values in reconstructions(fitted_backend(autoencoder), selected, scaling):
        result[found, : values.shape[1]] = values
    return result
