"""What a set of features has to beat."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from seqfeat.series import as_series

__all__ = ["classifier_baselines", "padded"]

C_GRID = {"svc__C": [0.1, 1, 10, 100]}
"""Among which the SVC's regularisation is chosen: one left at its default is easily beaten."""


def classifier_baselines(pipeline: Pipeline, X: Any, y: ArrayLike) -> dict[str, Any]:
    """Return what a pipeline of `make_classifier` is compared with, each under its name.

    Parameters
    ----------
    pipeline : Pipeline
        With the steps of `make_classifier`, fitted or not; it is not changed.
    X : array-like
        The training series, whose longest is the length that others are padded or cut to.
    y : array-like of shape (n_samples,)
        Their labels.

    Returns
    -------
    baselines : dict of str to estimator
        Unfitted, for series in any form and for folds of at least half of `X`.

    Notes
    -----
    The SVC takes time quadratic in the number of series and memory of the padded set.

    Examples
    --------
    >>> from seqfeat import make_classifier
    >>> from seqfeat.baselines import classifier_baselines
    >>> from seqfeat.datasets import load_japanese_vowels
    >>> list(classifier_baselines(make_classifier(8), *load_japanese_vowels(return_X_y=True)))
    ['most frequent class', 'raw series + RBF SVC', 'PCA(8) + same classifier',
     'untrained encoder + same classifier']
    """
    autoencoder = pipeline["autoencoder"]
    series = as_series(X, missing=autoencoder.missing)
    table = partial(padded, n_timesteps=series.n_timesteps, missing=autoencoder.missing)
    n_columns = series.n_timesteps * series.n_channels
    pca = PCA(min(autoencoder.embedding_dim, n_columns, max(1, len(series) // 2)), random_state=0)
    svc = _filled(table, SVC())
    if np.unique(np.asarray(y), return_counts=True)[1].min() >= 6:
        svc = GridSearchCV(svc, C_GRID, cv=3)
    same = clone(pipeline["classifier"])
    return {
        "most frequent class": _filled(table, DummyClassifier()),
        "raw series + RBF SVC": svc,
        f"PCA({pca.n_components}) + same classifier": _filled(table, pca, StandardScaler(), same),
        "untrained encoder + same classifier": clone(pipeline).set_params(autoencoder__max_iter=0),
    }


def padded(X: Any, n_timesteps: int, missing: str = "error") -> NDArray[np.float64]:
    """Return series as rows of one table, cut, or padded with NaN, to so many timesteps."""
    series = as_series(X, missing=missing)
    table = np.full((len(series), n_timesteps, series.n_channels), np.nan)
    n_kept = min(series.n_timesteps, n_timesteps)
    table[:, :n_kept] = series.values[:, :n_kept]
    return table.reshape(len(series), -1)


def _filled(table: Any, *steps: Any) -> Pipeline:
    """Return steps behind a table without gaps: the column's mean stands for what is not there."""
    imputer = SimpleImputer(keep_empty_features=True)
    return make_pipeline(FunctionTransformer(table), imputer, StandardScaler(), *steps)
