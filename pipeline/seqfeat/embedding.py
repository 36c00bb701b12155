"""What a fitted autoencoder does: embed, decode, reconstruct, score."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import TransformerMixin
from sklearn.utils import check_array
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted

from seqfeat.exceptions import InputError
from seqfeat.inference import Evaluation, decode, embed, evaluate, rebuild
from seqfeat.input_contract import series_like_fitted
from seqfeat.network_cache import cached_network
from seqfeat.scaling import ChannelScaling
from seqfeat.series import Series

__all__ = ["EmbeddingMixin", "fitted_scaling"]


_scalings: WeakKeyDictionary[Any, tuple[tuple[bytes, ...], ChannelScaling]] = WeakKeyDictionary()


class EmbeddingMixin(TransformerMixin):
    """The methods of `LSTMAutoencoder` that use what `fit` learned."""

    embedding_dim_: int
    n_channels_in_: int
    n_timesteps_in_: int
    is_table_: bool

    def transform(self, X: Any) -> NDArray[np.floating[Any]]:
        """Embed each series.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` takes, with as many channels.

        Returns
        -------
        embeddings : ndarray of shape (n_samples, embedding_dim)
            float32 for float32 input and else float64. Row i depends on series i
            alone. With ``set_output(transform="pandas")`` a DataFrame, whose index
            holds the ids of the series if `X` names them.
        """
        _refuse_unfitted(self)
        series = series_like_fitted(self, X)
        network, device = cached_network(self)
        embeddings = np.empty((len(series), self.embedding_dim_), dtype=_output_dtype(series))
        for rows, batch in embed(network, series, fitted_scaling(self), device):
            embeddings[rows] = batch
        return self._with_ids(embeddings, series)

    def _with_ids(
        self, embeddings: NDArray[np.floating[Any]], series: Series
    ) -> NDArray[np.floating[Any]]:
        """Name the rows where `set_output` asks for pandas and the input names its series.

        scikit-learn would take the index of the input itself, which in a frame of
        many rows for each series is too long.
        """
        if series.form != "frame":
            return embeddings
        if _get_output_config("transform", self)["dense"] != "pandas":
            return embeddings
        frame: Any = pd.DataFrame(embeddings, index=series.ids)
        return frame  # type: ignore[no-any-return]

    def inverse_transform(
        self, X: ArrayLike, n_timesteps: int | None = None
    ) -> NDArray[np.floating[Any]]:
        """Decode embeddings into series, in the units of the input.

        Parameters
        ----------
        X : array-like of shape (n_samples, embedding_dim)
            Embeddings.
        n_timesteps : int, default=None
            Length of the series; None is that of the longest training series.

        Returns
        -------
        series : ndarray of shape (n_samples, n_timesteps, n_channels)
            Or (n_samples, n_timesteps) if `fit` saw a table.
        """
        _refuse_unfitted(self)
        Z = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        if Z.shape[1] != self.embedding_dim_:
            raise InputError(
                f"X has {Z.shape[1]} columns, but the embeddings of this LSTMAutoencoder have "
                f"{self.embedding_dim_}. Pass what transform returned."
            )
        n_timesteps = self.n_timesteps_in_ if n_timesteps is None else n_timesteps
        if n_timesteps < 1:
            raise InputError(f"n_timesteps={n_timesteps}; a series has at least 1 timestep.")
        network, device = cached_network(self)
        series = np.empty((len(Z), n_timesteps, self.n_channels_in_), dtype=Z.dtype)
        for rows, scaled in decode(network, Z.astype(np.float32), n_timesteps, device):
            series[rows] = fitted_scaling(self).invert(scaled)
        return series[:, :, 0] if self.is_table_ else series

    def reconstruct(self, X: Any) -> Any:
        """Encode and decode each series.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` takes.

        Returns
        -------
        reconstruction : ndarray, list of ndarray, Series or DataFrame
            The form of `X`, in its units: missing values are filled with what the
            network makes of them, and NaN remains only behind the end of a series.
        """
        _refuse_unfitted(self)
        series = series_like_fitted(self, X)
        network, device = cached_network(self)
        result = np.full(series.values.shape, np.nan, dtype=_output_dtype(series))
        for batch in rebuild(network, series, fitted_scaling(self), device):
            values = fitted_scaling(self).invert(batch.rebuilt)
            steps = np.arange(values.shape[1])
            values[steps >= series.lengths[batch.rows, None]] = np.nan
            result[batch.rows, : values.shape[1]] = values
        return series.like_input(result)

    def score(self, X: Any, y: ArrayLike | None = None) -> float:
        """Return the share of the variance that the reconstruction explains.

        R squared over all observed values, in scaled units, each channel about
        its mean in `X`: 1 is a perfect reconstruction and 0 is no better than
        predicting the mean. With it, `GridSearchCV` compares embedding sizes
        without labels.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` takes.
        y : None
            Ignored.

        Returns
        -------
        score : float
        """
        return self._evaluate(X).r_squared

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Return the negative mean squared reconstruction error of each series.

        The lower, the less the series is like those of `fit`: an anomaly score.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` takes.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In scaled units, over the observed values.
        """
        quality = self._evaluate(X)
        return -quality.squared_error / quality.n_values

    def _evaluate(self, X: Any) -> Evaluation:
        _refuse_unfitted(self)
        series = series_like_fitted(self, X)
        network, device = cached_network(self)
        return evaluate(network, series, fitted_scaling(self), device)


def _refuse_unfitted(estimator: Any) -> None:
    # scikit-learn's check looks up the estimator's tags first, a tenth of embedding one series.
    if not hasattr(estimator, "weights_"):
        check_is_fitted(estimator)


def fitted_scaling(estimator: Any) -> ChannelScaling:
    """Return the scaling that an estimator learned; one that is kept, if it still has the same."""
    learned = estimator.n_observed_, estimator.mean_, estimator.deviation_
    key = tuple(array.tobytes() for array in learned)
    kept = _scalings.get(estimator)
    if kept is None or kept[0] != key:
        kept = _scalings[estimator] = key, ChannelScaling(*(array.copy() for array in learned))
    return kept[1]


def _output_dtype(series: Series) -> np.dtype[Any]:
    return np.dtype(np.float32 if series.values.dtype == np.float32 else np.float64)
