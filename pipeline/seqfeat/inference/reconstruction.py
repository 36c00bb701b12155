"""What the decoder is for: the methods of an estimator that rebuild series and judge them by it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqfeat.inference.decoding import (
    as_embeddings,
    check_finite,
    check_n_timesteps,
    decode_series,
    reconstruct_series,
)
from seqfeat.inference.evaluation import Evaluation, evaluate
from seqfeat.inference.fitted import (
    check_fitted,
    fitted_backend,
    fitted_scaling,
    output_dtype,
    validate_series,
)
from seqfeat.inference.fitted_rows import check_not_cut
from seqfeat.inference.timesteps import timestep_errors, timestep_scores
from seqfeat.runtime.float_errors import without_float_errors

__all__ = ["ReconstructionMixin"]

Floats = NDArray[np.floating[Any]]


class ReconstructionMixin:
    """`inverse_transform`, `reconstruct` and scores of a fitted estimator."""

    embedding_dim_: int
    n_timesteps_in_: int
    is_table_: bool

    @without_float_errors
    def inverse_transform(self, X: ArrayLike, n_timesteps: int | None = None) -> Floats:
        """Decode embeddings into series, in the units of the training series.

        Parameters
        ----------
        X : array-like of shape (n_samples, embedding_dim)
            Embeddings.
        n_timesteps : int, default=None
            Length of the series. None means that of the longest training series.

        Returns
        -------
        series : ndarray of shape (n_samples, n_timesteps, n_channels)
            Or of shape (n_samples, n_timesteps), if `fit` saw a table. float32 for float32
            embeddings, if that holds the range and the resolution of the training series; float64
            otherwise.

        Raises
        ------
        InputError
            If `X` does not hold finite embeddings, or if its series, or an array of them, cannot
            be held.
        """
        check_fitted(self)
        embeddings = as_embeddings(X, self.embedding_dim_)
        length = self.n_timesteps_in_ if n_timesteps is None else check_n_timesteps(n_timesteps)
        backend, scaling = fitted_backend(self), fitted_scaling(self)
        series = decode_series(backend, embeddings, length, scaling)
        return series[:, :, 0] if self.is_table_ else series

    @without_float_errors
    def reconstruct(self, X: Any) -> Any:
        """Encode and decode each series.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` accepts.

        Returns
        -------
        reconstruction : ndarray, list of ndarray, Series or DataFrame
            In the form and units of `X`. Missing values are reconstructed, too; only the padding
            after the end of a series remains NaN. The dtype is that of `inverse_transform`.
        """
        check_fitted(self)
        series, scaling = validate_series(self, X), fitted_scaling(self)
        dtype = output_dtype(series)
        return series.like_input(reconstruct_series(fitted_backend(self), series, scaling, dtype))

    def score(self, X: Any, y: ArrayLike | None = None) -> float:
        """Return the fraction of the variance that the reconstruction explains.

        This is R squared over all observed values, in scaled units, with each channel's variance
        about its mean in `X`: 1 is a perfect reconstruction, and 0 is no better than predicting
        the mean. With it, `GridSearchCV` can compare embedding sizes without labels.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` accepts.
        y : None
            Ignored.

        Returns
        -------
        score : float
        """
        check_not_cut(self, X)
        return self._evaluate(X).r_squared

    @without_float_errors
    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Return the negative mean squared reconstruction error of each series.

        The lower the score, the more anomalous the series.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` accepts.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Over the observed values, in scaled units.
        """
        check_not_cut(self, X, may_continue=True)
        evaluation = self._evaluate(X)
        return -evaluation.squared_error / evaluation.n_values

    @without_float_errors
    def score_timesteps(self, X: Any, by_channel: bool = False) -> list[NDArray[np.float64]]:
        """Return the negative squared reconstruction error of each timestep.

        The lower the score, the more anomalous the timestep. The average over all observed values
        of a series is what `score_samples` returns.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` accepts.
        by_channel : bool, default=False
            Whether to keep the errors of the channels apart instead of averaging them.

        Returns
        -------
        scores : list of n_samples ndarrays of shape (n_timesteps_i,), float64
            Or (n_timesteps_i, n_channels) with `by_channel`. In scaled units; NaN where nothing was
            observed.

        Examples
        --------
        >>> import numpy as np
        >>> from seqfeat import LSTMAutoencoder
        >>> phase = np.random.default_rng(0).uniform(0, 6, (80, 1))
        >>> X = np.sin(np.arange(100) / 8 + phase)
        >>> X[70, 45] += 1
        >>> autoencoder = LSTMAutoencoder(4, reconstruction_fraction=1, max_iter=0, random_state=0)
        >>> int(autoencoder.fit(X[:60]).score_timesteps(X)[70].argmin())
        45
        """
        check_not_cut(self, X, may_continue=True)
        check_fitted(self)
        series = validate_series(self, X)
        scores: list[NDArray[np.float64]] = [np.empty(0)] * len(series)
        backend, scaling = fitted_backend(self), fitted_scaling(self)
        for rows, errors in timestep_errors(backend, series, scaling):
            check_finite(
                np.nansum(errors, axis=(1, 2)),
                rows,
                "series {} of X is rebuilt with errors that are",
            )
            found = -errors if by_channel else timestep_scores(errors)
            for row, of_series in zip(rows, found, strict=True):
                scores[row] = of_series[: series.lengths[row]].copy()
        return scores

    @without_float_errors
    def _evaluate(self, X: Any) -> Evaluation:
        check_fitted(self)
        series = validate_series(self, X)
        evaluation = evaluate(fitted_backend(self), series, fitted_scaling(self))
        errors = evaluation.squared_error
        check_finite(
            errors, np.arange(len(errors)), "series {} of X is rebuilt with errors that are"
        )
        return evaluation
