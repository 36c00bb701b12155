"""How well an estimator does: on series held out, or by cross-validation, beside baselines."""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.cli.console import Console, table
from seqfeat.cli.errors import UserError
from seqfeat.inference.fitted import fitted_scaling
from seqfeat.series import LabelledSeries, as_series
from seqfeat.series.scaling import channel_scaling, empty_statistics

__all__ = [
    "Measurement",
    "RunningScore",
    "Split",
    "accuracy_interval",
    "classifier_baselines",
    "folds",
    "measure",
    "padded",
    "split",
]

DEFAULT_TEST_SIZE = 0.25
MOST_FOR_SVC = 5000
"""Series beyond which an SVC on raw values takes longer than anybody wants to wait."""
RAW = "raw series + RBF SVC"


@dataclass(frozen=True, eq=False)
class Split:
    """Series to train on, and those to measure on or None."""

    train: LabelledSeries
    test: LabelledSeries | None
    description: str


@dataclass
class Measurement:
    """Scores by name, each with its spread or interval as text; the first is the model's own."""

    scores: dict[str, float] = field(default_factory=dict)
    spreads: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    title: str = ""

    def table(self) -> str:
        """Return the scores for people."""
        rows = [(name, f"{it:.3f}", self.spreads.get(name, "")) for name, it in self.scores.items()]
        return table(rows)


def split(
    labelled: LabelledSeries,
    test: LabelledSeries | None,
    test_name: str,
    options: argparse.Namespace,
) -> Split:
    """Decide what is trained on and what is held out."""
    if test is not None:
        return Split(labelled, test, f"{len(test.X):,} series of {test_name}")
    if options.cv is not None:
        folds(labelled, options)  # which refuses more than there can be
        return Split(labelled, None, f"{options.cv} folds")
    share = DEFAULT_TEST_SIZE if options.test_size is None else options.test_size
    if not 0 <= share < 1:
        raise UserError(f"--test-size {share}: a share is at least 0 and less than 1.")
    if share == 0:
        return Split(labelled, None, "")
    X, y = labelled
    n_test = int(np.ceil(share * len(X)))
    n_classes = 1 if y is None else len(np.unique(np.asarray(y)))
    if n_classes > min(n_test, len(X) - n_test):
        raise UserError(
            f"--test-size {share} of {len(X)} series are {n_test}, and each part needs "
            f"{n_classes} at least, one of each class. Pass another share, --cv, or --test DATA."
        )
    rows, held_out = train_test_split(
        np.arange(len(X)), test_size=n_test, random_state=options.random_state, stratify=y
    )
    parts = [_rows(labelled, np.sort(part)) for part in (rows, held_out)]
    return Split(parts[0], parts[1], f"{n_test:,} series held out of {len(X):,}")


def _rows(labelled: LabelledSeries, rows: Any) -> LabelledSeries:
    X, y = (
        part.iloc[rows] if hasattr(part, "iloc") else None if part is None else part[rows]
        for part in labelled
    )
    return LabelledSeries(X, y)


def folds(labelled: LabelledSeries, options: argparse.Namespace) -> Any:
    """Return how a cross-validation divides the series."""
    parameters = {"shuffle": True, "random_state": options.random_state}
    X, y = labelled
    if len(X) < options.cv:
        raise UserError(f"--cv {options.cv}: there are {len(X)} series only; pass a lower number.")
    if y is None:
        return KFold(options.cv, **parameters)
    rarest = int(np.unique(np.asarray(y), return_counts=True)[1].min())
    if rarest < options.cv:
        raise UserError(
            f"--cv {options.cv}: a class has {rarest} series only, fewer than there are folds. "
            f"Pass --cv {rarest} or less, or add series."
        )
    return StratifiedKFold(options.cv, **parameters)


def measure(
    fitted: Any,
    parts: Split,
    options: argparse.Namespace,
    console: Console,
    *,
    with_baselines: bool,
) -> Measurement:
    """Score a fitted estimator and, if it classifies, what it is compared with."""
    result = Measurement()
    classifies = not isinstance(fitted, LSTMAutoencoder)
    name = _own_name(fitted, options, classifies=classifies)
    quantity = "accuracy" if classifies else "R squared of the reconstruction"
    score: Callable[[Any], np.ndarray[Any, Any]]
    if parts.test is not None:
        result.title = f"Test {quantity}, {parts.description}:"
        score, first = _held_out(parts), np.array([fitted.score(*parts.test)])
        _add_test(result, name, float(first[0]), fitted, parts.test, classifies=classifies)
    elif options.cv is not None:
        result.title = f"{quantity[0].upper()}{quantity[1:]}, mean of {options.cv} folds:"
        score = _cross_validated(parts, options)
        console.note(f"Cross-validating, {options.cv} folds ...")
        _add_folds(result, name, score(clone(fitted)), options, classifies=classifies)
    else:
        return result
    if classifies and with_baselines:
        _add_baselines(result, fitted, parts, score, console)
    return result


def _own_name(fitted: Any, options: argparse.Namespace, *, classifies: bool) -> str:
    autoencoder = fitted["autoencoder"] if classifies else fitted
    features = f"seqfeat, {autoencoder.embedding_dim} features"
    return f"{features} + {options.classifier}" if classifies else features


def _held_out(parts: Split) -> Callable[[Any], np.ndarray[Any, Any]]:
    assert parts.test is not None
    test = parts.test
    return lambda estimator: np.array([estimator.fit(*parts.train).score(*test)])


def _cross_validated(
    parts: Split, options: argparse.Namespace
) -> Callable[[Any], np.ndarray[Any, Any]]:
    X, y = parts.train
    cv = folds(parts.train, options)
    return lambda estimator: np.asarray(
        cross_val_score(estimator, X, y, cv=cv, n_jobs=options.jobs, error_score="raise")
    )


def _add_test(
    result: Measurement,
    name: str,
    score: float,
    fitted: Any,
    test: LabelledSeries,
    *,
    classifies: bool,
) -> None:
    result.scores[name] = score
    result.metrics["test_series"] = len(test.X)
    if classifies:
        result.spreads[name] = f"95 % interval {_interval(score, test)}"
        result.metrics["test_accuracy"] = score
        result.metrics["test_r_squared"] = float(fitted["autoencoder"].score(test.X))
    else:
        result.metrics["test_r_squared"] = score


def _add_folds(
    result: Measurement,
    name: str,
    scores: np.ndarray[Any, Any],
    options: argparse.Namespace,
    *,
    classifies: bool,
) -> None:
    result.scores[name] = float(scores.mean())
    result.spreads[name] = f"± {scores.std():.3f}"
    quantity = "accuracy" if classifies else "r_squared"
    result.metrics |= {
        f"cv_{quantity}": float(scores.mean()),
        f"cv_{quantity}_deviation": float(scores.std()),
        "cv_folds": options.cv,
    }


def _add_baselines(
    result: Measurement,
    fitted: Any,
    parts: Split,
    score: Callable[[Any], np.ndarray[Any, Any]],
    console: Console,
) -> None:
    baselines = classifier_baselines(fitted, *parts.train)
    n_series = len(parts.train.X)
    if n_series > MOST_FOR_SVC:
        del baselines[RAW]
        console.note(f"({RAW}: left out, as {n_series:,} series would take it too long)")
    console.note("Comparing with baselines ...")
    for name, baseline in baselines.items():
        with _quietly():
            scores = score(baseline)
        result.scores[name] = float(scores.mean())
        result.metrics[f"baseline: {name}"] = float(scores.mean())
        if parts.test is None:
            result.spreads[name] = f"± {scores.std():.3f}"
        else:
            result.spreads[name] = _interval(float(scores[0]), parts.test)


def _interval(accuracy: float, test: LabelledSeries) -> str:
    low, high = accuracy_interval(round(accuracy * len(test.X)), len(test.X))
    return f"{low:.3f} to {high:.3f}"


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep to ourselves what scikit-learn says of estimators that nobody asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


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


NORMAL_95 = 1.959963984540054
"""Standard deviations within which 95 % of a normal distribution lie."""


def accuracy_interval(n_right: int, n_series: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share.

    Examples
    --------
    >>> from seqfeat.cli.scores import accuracy_interval
    >>> low, high = accuracy_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    share, z = n_right / n_series, NORMAL_95
    spread = z * math.sqrt(share * (1 - share) / n_series + (z / (2 * n_series)) ** 2)
    centre = share + z**2 / (2 * n_series)
    widening = 1 + z**2 / n_series
    return max(0.0, (centre - spread) / widening), min(1.0, (centre + spread) / widening)


class RunningScore:
    """`LSTMAutoencoder.score` of series that come in batches."""

    def __init__(self, autoencoder: LSTMAutoencoder) -> None:
        self.n_series = 0
        self._autoencoder = autoencoder
        self._squared_error = 0.0
        self._spread = empty_statistics(autoencoder.n_channels_in_)

    def add(self, X: Any) -> None:
        """Add a batch of series."""
        series = as_series(X, missing=self._autoencoder.missing)
        observed = series.observed
        if observed is None:
            n_values = np.full(len(series), series.n_timesteps * series.n_channels)
        else:
            n_values = observed.sum(axis=(1, 2))
        self._squared_error -= float(self._autoencoder.score_samples(X) @ n_values)
        self._spread = self._spread.merge(channel_scaling(series))
        self.n_series += len(series)

    @property
    def r_squared(self) -> float:
        """The share of the variance that the reconstruction explains."""
        scale = fitted_scaling(self._autoencoder).scale
        total = float((self._spread.count * (self._spread.std / scale) ** 2).sum())
        if total > 0.0:
            return 1.0 - self._squared_error / total
        return 1.0 if self._squared_error == 0.0 else 0.0
