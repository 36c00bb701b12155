"""Scores: on a test set or by cross-validation, and those of baselines to compare with."""

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
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_regressor
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.cli.console import Console, format_list, format_table
from seqfeat.cli.errors import UserError
from seqfeat.cli.sources import count_of, recordings_of
from seqfeat.inference.fitted import fitted_scaling
from seqfeat.pipeline import make_regressor
from seqfeat.series import LabelledSeries, as_series
from seqfeat.series.scaling import channel_scaling, empty_statistics
from seqfeat.series.windows import Cut

__all__ = [
    "Evaluation",
    "RecordingFolds",
    "RunningScore",
    "Split",
    "accuracy_interval",
    "classifier_baselines",
    "evaluate",
    "make_folds",
    "number_scores",
    "pad_to_table",
    "regressor_baselines",
    "split_series",
]

DEFAULT_TEST_SIZE = 0.25
N_CHOICES = 200
"""Choices of recordings to hold out, of which the best one is taken."""


@dataclass(frozen=True, eq=False)
class Split:
    """Series to train on, and series to test on or None; a note says how windows were split."""

    train: LabelledSeries
    test: LabelledSeries | None
    description: str
    note: str = ""


def split_series(
    labelled: LabelledSeries,
    test: LabelledSeries | None,
    test_name: str,
    options: argparse.Namespace,
) -> Split:
    """Split series into a training set and a test set as the options say."""
    if test is not None:
        return Split(labelled, test, f"{count_of(test.X)} of {test_name}")
    if options.cv is not None:
        folds = make_folds(labelled, options)  # to check their number before the training
        note = folds.describe(labelled.X) if isinstance(folds, RecordingFolds) else ""
        return Split(labelled, None, f"{options.cv} folds", note)
    fraction = DEFAULT_TEST_SIZE if options.test_size is None else options.test_size
    if not 0 <= fraction < 1:
        raise UserError(f"--test-size {fraction}: must be at least 0 and less than 1.")
    if fraction == 0:
        return Split(labelled, None, "")
    if recordings_of(labelled.X) is not None:
        return _split_windows(labelled, fraction, options)
    X, y = labelled
    if options.target is not None:
        y = None  # numbers have no classes to keep the shares of
    n_test = int(np.ceil(fraction * len(X)))
    n_classes = 1 if y is None else len(np.unique(np.asarray(y)))
    if n_classes > min(n_test, len(X) - n_test):
        raise UserError(
            f"--test-size {fraction} of {len(X)} series makes {n_test} for testing and "
            f"{len(X) - n_test} for training, but both need at least {n_classes}, one of each "
            "class. Change --test-size, or use --cv or --test DATA."
        )
    train_rows, test_rows = train_test_split(
        np.arange(len(X)), test_size=n_test, random_state=options.random_state, stratify=y
    )
    return Split(
        _select(labelled, np.sort(train_rows)),
        _select(labelled, np.sort(test_rows)),
        f"{n_test:,} held-out series of {len(X):,}",
    )


def _select(labelled: LabelledSeries, rows: NDArray[np.intp]) -> LabelledSeries:
    X, y = (
        part.iloc[rows] if hasattr(part, "iloc") else None if part is None else part[rows]
        for part in labelled
    )
    return LabelledSeries(X, y)


def _split_windows(labelled: LabelledSeries, fraction: float, options: argparse.Namespace) -> Split:
    """Hold out whole recordings, or the last part of a single one."""
    X, y = labelled
    if options.target is not None:
        y = None
    codes, names = pd.factorize(_recordings(X))
    if len(names) == 1:
        first = len(X) - math.ceil(fraction * len(X))
        n_left_out = min(first, _n_overlapping(options))
        rows = np.arange(first - n_left_out), np.arange(first, len(X))
        held_out = f"the last {len(X) - first:,} of {len(X):,} windows"
        note = (
            f"Holding out {held_out}, as there is only one recording; {n_left_out:,} windows that "
            "overlap them are left out."
        )
    else:
        is_test = _choose_recordings(codes, y, fraction, options.random_state)[codes]
        rows = np.flatnonzero(~is_test), np.flatnonzero(is_test)
        tested = names[np.unique(codes[is_test])]
        held_out = f"{len(tested):,} of {len(names):,} recordings"
        note = f"Holding out {held_out}: {format_list(tested, head=8)}."
        held_out = f"{is_test.sum():,} windows of {held_out}, held out"
    option = f"--test-size {fraction}"
    if not len(rows[0]):
        raise UserError(f"{option} leaves no window to train on. Use a smaller one, or 0.")
    _check_classes(y, rows[0], option)
    return Split(_select(labelled, rows[0]), _select(labelled, rows[1]), held_out, note)


def _choose_recordings(
    codes: NDArray[Any], y: Any, fraction: float, random_state: int
) -> NDArray[np.bool_]:
    """Return which recordings to hold out, of many choices the one with the most classes.

    First of all, every class has to be left for training, then to be tested, and then the
    fraction of the windows of each class counts.
    """
    counts = pd.crosstab(codes, np.zeros(len(codes)) if y is None else np.asarray(y)).to_numpy()
    n_recordings = len(counts)
    n_test = min(n_recordings - 1, math.ceil(fraction * n_recordings))
    random = np.random.default_rng(random_state)
    choices = [random.permutation(n_recordings) < n_test for _ in range(N_CHOICES)]

    def badness(is_test: NDArray[np.bool_]) -> tuple[float, ...]:
        trained, tested = counts[~is_test].sum(axis=0), counts[is_test].sum(axis=0)
        off = np.abs(tested / counts.sum(axis=0) - n_test / n_recordings).sum()
        return float((trained == 0).sum()), float((tested == 0).sum()), float(off)

    return min(choices, key=badness)


def _recordings(X: Any) -> pd.Index[Any]:
    recordings = recordings_of(X)
    assert recordings is not None
    return recordings


def _n_overlapping(options: argparse.Namespace) -> int:
    return Cut(options.window, options.stride).n_overlapping


def _check_classes(y: Any, train_rows: NDArray[np.intp], option: str) -> None:
    """Check that windows of all classes are left to train on."""
    if y is None:
        return
    labels = np.asarray(y)
    missing = np.setdiff1d(labels, labels[train_rows])
    if len(missing):
        raise UserError(
            f"{option}: no window of the class {missing[0]} would be left to train on, as all are "
            "in the recordings, or in the part of the only one, that are tested on. Record it more "
            "often, change the option, or use --test DATA or --test-size 0."
        )


class RecordingFolds:
    """Folds of windows, each tested on recordings that it is not trained on.

    Windows of a single recording are split in blocks, without those that overlap the
    block that is tested on. Which windows are whose is seen from the series' ids, so
    that a search within another one cannot mix them up either.

    Parameters
    ----------
    n_splits : int
        The number of folds; fewer if there are fewer recordings.
    n_overlapping : int
        The number of windows that a window shares timesteps with, on either side.
    random_state : int, default=0
        The seed of the assignment of recordings to folds.
    is_stratified : bool, default=True
        Whether the labels are classes, whose shares the folds keep.
    """

    def __init__(
        self,
        n_splits: int,
        n_overlapping: int,
        random_state: int = 0,
        is_stratified: bool = True,
    ) -> None:
        self.n_splits = n_splits
        self.n_overlapping = n_overlapping
        self.random_state = random_state
        self.is_stratified = is_stratified

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""
        n_recordings = _recordings(X).nunique() if X is not None else 1
        return self.n_splits if n_recordings == 1 else min(self.n_splits, n_recordings)

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the rows to train and to test on."""
        codes, names = pd.factorize(_recordings(X))
        n_splits = self.get_n_splits(X)
        if len(names) == 1:
            for block in np.array_split(np.arange(len(X)), n_splits):
                first, last = block[0] - self.n_overlapping, block[-1] + self.n_overlapping
                rows = np.arange(len(X))
                yield rows[(rows < first) | (rows > last)], block
            return
        options = {"n_splits": n_splits, "shuffle": True, "random_state": self.random_state}
        if y is None or not self.is_stratified:
            yield from GroupKFold(**options).split(codes, groups=codes)
            return
        with warnings.catch_warnings():
            # A class may have fewer windows than there are folds, but is in all of the training.
            warnings.simplefilter("ignore", UserWarning)
            folds = list(StratifiedGroupKFold(**options).split(codes, np.asarray(y), codes))
        yield from folds

    def check(self, X: Any, y: Any) -> None:
        """Check that there are folds for these windows, and that each is trained on all classes."""
        option = f"--cv {self.n_splits}"
        n_recordings = _recordings(X).nunique()
        if 1 < n_recordings < self.n_splits:
            raise UserError(
                f"{option}: there are only {n_recordings} recordings, and all windows of one are "
                f"in the same fold. Use --cv {n_recordings} or less."
            )
        if len(X) < self.n_splits:
            raise UserError(f"{option}: there are only {len(X)} windows; use fewer folds.")
        for train_rows, test_rows in self.split(X, y):
            if not len(train_rows) or not len(test_rows):
                raise UserError(
                    f"{option}: a fold would have {len(train_rows)} windows to train on and "
                    f"{len(test_rows)} to test on. Use fewer folds."
                )
            _check_classes(y if self.is_stratified else None, train_rows, option)

    def describe(self, X: Any) -> str:
        """Say how windows are split."""
        n_recordings = _recordings(X).nunique()
        if n_recordings > 1:
            return (
                f"Each of {self.n_splits} folds is tested on other recordings than it is trained "
                f"on, of {n_recordings:,} in all."
            )
        return (
            f"Each of {self.n_splits} folds is tested on one part of the only recording; windows "
            "that overlap it are left out."
        )


def make_folds(labelled: LabelledSeries, options: argparse.Namespace) -> Any:
    """Return the splitter of a cross-validation with ``--cv`` folds."""
    X, y = labelled
    if recordings_of(X) is not None:
        by_recording = _recording_folds(options.cv, options, options.random_state)
        by_recording.check(X, y)
        return by_recording
    if len(X) < options.cv:
        raise UserError(f"--cv {options.cv}: there are only {len(X)} series; use fewer folds.")
    shuffle = {"shuffle": True, "random_state": options.random_state}
    if y is None or options.target is not None:
        return KFold(options.cv, **shuffle)
    rarest = int(np.unique(np.asarray(y), return_counts=True)[1].min())
    if rarest < options.cv:
        raise UserError(
            f"--cv {options.cv}: the smallest class has only {rarest} series, fewer than there are "
            f"folds. Use --cv {rarest} or less, or add series to it."
        )
    return StratifiedKFold(options.cv, **shuffle)


def _recording_folds(
    n_splits: int, options: argparse.Namespace, random_state: int = 0
) -> RecordingFolds:
    has_classes = options.target is None
    return RecordingFolds(n_splits, _n_overlapping(options), random_state, has_classes)


@dataclass
class Evaluation:
    """The scores of a model, and of baselines after it.

    Attributes
    ----------
    title : str
        The quantity and the series it was measured on.
    scores : dict of str to float
        The score of each model by name.
    spreads : dict of str to str
        For some of them, the spread or confidence interval in words.
    metrics : dict of str to float
        The figures for the model's card.
    """

    title: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    spreads: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def baselines(self) -> dict[str, float]:
        """The scores except for the model's own."""
        return dict(list(self.scores.items())[1:])

    def table(self) -> str:
        """Return the scores as a table for people."""
        return format_table(
            [(name, f"{it:.3f}", self.spreads.get(name, "")) for name, it in self.scores.items()]
        )


Score = Callable[[Any], NDArray[np.float64]]
"""Fits an estimator and returns its score on the test set, or its scores on all folds."""


def evaluate(
    fitted: Any,
    split: Split,
    options: argparse.Namespace,
    console: Console,
    *,
    with_baselines: bool,
) -> Evaluation:
    """Score a fitted estimator and, if it predicts something, the baselines."""
    result = Evaluation()
    predicts = not isinstance(fitted, LSTMAutoencoder)
    autoencoder = fitted["autoencoder"] if predicts else fitted
    name = f"seqfeat, {autoencoder.embedding_dim_:,} features"
    quantity, metric = "R squared of the reconstruction", "cv_r_squared"
    if is_regressor(fitted):
        name, quantity, metric = f"{name} + ridge", "R squared of the predictions", "cv_r2"
    elif predicts:
        name, quantity, metric = f"{name} + {options.classifier}", "accuracy", "cv_accuracy"
    score: Score
    if split.test is not None:
        test = split.test
        result.title = f"Test {quantity} on {split.description}:"
        score = partial(_test_score, split.train, test)
        _add_test_score(result, name, float(fitted.score(*test)), fitted, test)
    elif options.cv is not None:
        result.title = f"{quantity[0].upper()}{quantity[1:]}, mean and std of {options.cv} folds:"
        score = partial(_fold_scores, split.train, options)
        console.status(f"Cross-validating with {options.cv} folds...")
        _add_fold_scores(result, name, score(clone(fitted)), metric)
    else:
        return result
    if predicts and with_baselines:
        _add_baselines(result, fitted, split, score, options, console)
    return result


def _test_score(train: LabelledSeries, test: LabelledSeries, estimator: Any) -> NDArray[np.float64]:
    return np.array([estimator.fit(*train).score(*test)])


def _fold_scores(
    labelled: LabelledSeries, options: argparse.Namespace, estimator: Any
) -> NDArray[np.float64]:
    cv = make_folds(labelled, options)
    return np.asarray(
        cross_val_score(estimator, *labelled, cv=cv, n_jobs=options.jobs, error_score="raise")
    )


def _add_test_score(
    result: Evaluation, name: str, score: float, fitted: Any, test: LabelledSeries
) -> None:
    result.scores[name] = score
    result.metrics["test_series"] = len(test.X)
    if isinstance(fitted, LSTMAutoencoder):
        result.metrics["test_r_squared"] = score
    elif is_regressor(fitted):
        scores = number_scores(np.asarray(test.y), fitted.predict(test.X))
        result.spreads[name] = f"mean absolute error {scores['mae']:.4g}"
        result.metrics |= {f"test_{quantity}": value for quantity, value in scores.items()}
        result.metrics["test_r_squared"] = float(fitted["autoencoder"].score(test.X))
    else:
        interval = _format_interval(score, test)
        result.spreads[name] = f"95% CI {interval}" if interval else ""
        result.metrics["test_accuracy"] = score
        result.metrics["test_r_squared"] = float(fitted["autoencoder"].score(test.X))


def _add_fold_scores(
    result: Evaluation, name: str, scores: NDArray[np.float64], metric: str
) -> None:
    result.scores[name] = float(scores.mean())
    result.spreads[name] = f"± {scores.std():.3f}"
    result.metrics[metric] = float(scores.mean())
    result.metrics[f"{metric}_std"] = float(scores.std())
    result.metrics["cv_folds"] = len(scores)


def _add_baselines(
    result: Evaluation,
    fitted: Any,
    split: Split,
    score: Score,
    options: argparse.Namespace,
    console: Console,
) -> None:
    cv: Any = TUNING_FOLDS
    if recordings_of(split.train.X) is not None:
        cv = _recording_folds(TUNING_FOLDS, options)
    if is_regressor(fitted):
        baselines = regressor_baselines(fitted, split.train.X)
    else:
        baselines = classifier_baselines(fitted, *split.train, cv=cv)
    n_series = len(split.train.X)
    if n_series > MAX_SERIES_FOR_SVC and RAW_SVC in baselines:
        del baselines[RAW_SVC]
        console.status(f"(Skipping {RAW_SVC}, which is slow with {n_series:,} series)")
    console.status("Evaluating baselines...")
    for name, baseline in baselines.items():
        with _suppress_warnings():
            scores = score(baseline)
        result.scores[name] = float(scores.mean())
        result.metrics[f"baseline: {name}"] = float(scores.mean())
        if split.test is None:
            result.spreads[name] = f"± {scores.std():.3f}"
        elif not is_regressor(fitted):
            result.spreads[name] = _format_interval(float(scores[0]), split.test)


@contextmanager
def _suppress_warnings() -> Iterator[None]:
    """Suppress scikit-learn's warnings about baselines, which users can do nothing about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


RAW_SVC = "raw series + RBF SVC"
C_GRID = {"svc__C": [0.1, 1, 10, 100]}
"""The regularization of the SVC is tuned; left at its default, it would be beaten too easily."""
MAX_SERIES_FOR_SVC = 5000
TUNING_FOLDS = 3
N_COMPONENTS = 64
"""Principal components beside ``--embedding-dim all``."""


def classifier_baselines(
    pipeline: Pipeline, X: Any, y: ArrayLike, *, cv: Any = TUNING_FOLDS
) -> dict[str, Any]:
    """Return baselines for a pipeline from `seqfeat.make_classifier`.

    Parameters
    ----------
    pipeline : Pipeline
        The pipeline, fitted or not; it is not changed.
    X : array-like
        The training series. Baselines on raw values pad or cut series to the length of
        the longest one.
    y : array-like of shape (n_samples,)
        Their labels.
    cv : int or splitter, default=3
        The folds with which the SVC is tuned.

    Returns
    -------
    baselines : dict of str to estimator
        Unfitted estimators by name. They take series in any form, and at least half as
        many as `X` has.

    Notes
    -----
    The SVC takes time quadratic in the number of series, and memory for all of them
    padded.

    Examples
    --------
    >>> from seqfeat import make_classifier
    >>> from seqfeat.cli.evaluation import classifier_baselines
    >>> from seqfeat.datasets import load_japanese_vowels
    >>> list(classifier_baselines(make_classifier(8), *load_japanese_vowels(return_X_y=True)))
    ['most frequent class', 'raw series + RBF SVC', 'PCA(8) + same classifier',
     'untrained encoder + same classifier']
    """
    as_table, pca = _table_and_components(pipeline["autoencoder"], X)
    svc = _on_table(as_table, SVC())
    # Three folds in each half of the series.
    if np.unique(np.asarray(y), return_counts=True)[1].min() >= 2 * TUNING_FOLDS:
        svc = GridSearchCV(svc, C_GRID, cv=cv)
    same = clone(pipeline["classifier"])
    untrained = clone(pipeline).set_params(autoencoder__max_iter=0, autoencoder__target_weight=0)
    return {
        "most frequent class": _on_table(as_table, DummyClassifier()),
        RAW_SVC: svc,
        f"PCA({pca.n_components}) + same classifier": _on_table(
            as_table, pca, StandardScaler(), same
        ),
        "untrained encoder + same classifier": untrained,
    }


def regressor_baselines(pipeline: Pipeline, X: Any) -> dict[str, Any]:
    """Return baselines for a pipeline from `seqfeat.make_regressor`, as `classifier_baselines`."""
    as_table, pca = _table_and_components(pipeline["autoencoder"], X)
    same = clone(pipeline["regressor"])
    untrained = clone(pipeline).set_params(autoencoder__max_iter=0, autoencoder__target_weight=0)
    return {
        "mean": _on_table(as_table, DummyRegressor()),
        "raw series + ridge": _on_table(as_table, make_regressor()["regressor"]),
        f"PCA({pca.n_components}) + same regressor": _on_table(
            as_table, pca, StandardScaler(), same
        ),
        "untrained encoder + same regressor": untrained,
    }


def _table_and_components(autoencoder: LSTMAutoencoder, X: Any) -> tuple[Any, PCA]:
    """Return what turns series into a table, and as many principal components as features."""
    series = as_series(X, missing=autoencoder.missing)
    as_table = partial(pad_to_table, n_timesteps=series.n_timesteps, missing=autoencoder.missing)
    n_columns = series.n_timesteps * series.n_channels
    n_wanted = autoencoder.embedding_dim or N_COMPONENTS
    return as_table, PCA(min(n_wanted, n_columns, max(1, len(series) // 2)), random_state=0)


def number_scores(numbers: NDArray[Any], predictions: NDArray[Any]) -> dict[str, float]:
    """Return R squared and the mean absolute error of predictions of numbers."""
    return {
        "r2": float(r2_score(numbers, predictions)),
        "mae": float(mean_absolute_error(numbers, predictions)),
    }


def _on_table(as_table: Any, *steps: Any) -> Pipeline:
    """Return steps that follow a table of raw values with gaps filled by the column's mean."""
    imputer = SimpleImputer(keep_empty_features=True)
    return make_pipeline(FunctionTransformer(as_table), imputer, StandardScaler(), *steps)


def pad_to_table(X: Any, n_timesteps: int, missing: str = "error") -> NDArray[np.float64]:
    """Return series as rows of a table, padded with NaN or cut to a number of timesteps."""
    series = as_series(X, missing=missing)
    table = np.full((len(series), n_timesteps, series.n_channels), np.nan)
    n_kept = min(series.n_timesteps, n_timesteps)
    table[:, :n_kept] = series.values[:, :n_kept]
    return table.reshape(len(series), -1)


def _format_interval(accuracy: float, test: LabelledSeries) -> str:
    """Return the confidence interval; that of windows, which depend on each other, is unknown."""
    if recordings_of(test.X) is not None:
        return ""
    low, high = accuracy_interval(round(accuracy * len(test.X)), len(test.X))
    return f"{low:.3f} to {high:.3f}"


Z_95 = 1.959963984540054
"""The quantile of the normal distribution that leaves 2.5% in each tail."""


def accuracy_interval(n_correct: int, n_series: int) -> tuple[float, float]:
    """Return Wilson's 95% confidence interval of an accuracy.

    Examples
    --------
    >>> from seqfeat.cli.evaluation import accuracy_interval
    >>> low, high = accuracy_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    p, n, z = n_correct / n_series, n_series, Z_95
    centre = p + z**2 / (2 * n)
    margin = z * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    scale = 1 + z**2 / n
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


class RunningScore:
    """Computes `LSTMAutoencoder.score` of series that come in batches."""

    def __init__(self, autoencoder: LSTMAutoencoder) -> None:
        self.n_series = 0
        self._autoencoder = autoencoder
        self._squared_error = 0.0
        self._statistics = empty_statistics(autoencoder.n_channels_in_)

    def add(self, X: Any) -> None:
        """Add a batch of series."""
        series = as_series(X, missing=self._autoencoder.missing)
        observed = series.observed
        if observed is None:
            n_values = np.full(len(series), series.n_timesteps * series.n_channels)
        else:
            n_values = observed.sum(axis=(1, 2))
        self._squared_error -= float(self._autoencoder.score_samples(X) @ n_values)
        self._statistics = self._statistics.merge(channel_scaling(series))
        self.n_series += len(series)

    @property
    def r_squared(self) -> float:
        """The fraction of the variance that the reconstruction explains."""
        scale = fitted_scaling(self._autoencoder).scale
        std = self._statistics.std / scale
        total = float((self._statistics.count * std**2).sum())
        if total > 0.0:
            return 1.0 - self._squared_error / total
        return 1.0 if self._squared_error == 0.0 else 0.0
