"""Runs a model over series and collects what the report shows, as numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from seqfeat.display.drawing import channel_names_or_default, series_ids_or_default
from seqfeat.display.embedding import project_pca
from seqfeat.display.model_outputs import evaluate_series
from seqfeat.pipeline import PipelineParts, pipeline_parts
from seqfeat.report.classification import ClassificationScores, score_predictions
from seqfeat.report.drawn_series import DrawnSeries, draw_series, sample_rows, size_limits
from seqfeat.report.occlusion import Explanations, explain
from seqfeat.report.regression import Numbers, as_columns, score_numbers
from seqfeat.series import Series
from seqfeat.training.targets.labels import check_labels
from seqfeat.training.targets.numbers import target_numbers

__all__ = ["Analysis", "run_analysis"]


@dataclass(frozen=True)
class Analysis:
    """Everything that the report shows, as numbers.

    Attributes
    ----------
    model : estimator
        The model, as it was passed.
    parts : PipelineParts
        Its steps.
    series : Series
        All series.
    names : list
        The name of each drawn series.
    channel_names : list of str
        The name of each channel.
    labels, predictions : ndarray of shape (n_samples,) or None
        True and predicted classes.
    confidences : ndarray of shape (n_drawn,) or None
        Predicted probability of the predicted class of each drawn series.
    scores : ClassificationScores or None
        How well the predictions match the labels, if there are both.
    errors : ndarray of shape (n_samples,)
        Mean squared reconstruction error of each series, in scaled units.
    r_squared : float
        Fraction of the variance that the reconstructions explain.
    positions : ndarray of shape (n_drawn, 2)
        The embedding of each drawn series, projected onto the first two principal
        components of all embeddings.
    explained : ndarray of shape (2,)
        Fraction of the embeddings' variance that each of the two explains.
    drawn : DrawnSeries
        The series to draw, in descending order of error.
    seconds : dict of str to float
        The time that each step took.
    """

    model: Any
    parts: PipelineParts
    series: Series
    names: list[Any]
    channel_names: list[str]
    labels: NDArray[Any] | None
    predictions: NDArray[Any] | None
    confidences: NDArray[np.float64] | None
    scores: ClassificationScores | None
    errors: NDArray[np.float64]
    r_squared: float
    positions: NDArray[np.float64]
    explained: NDArray[np.float64]
    drawn: DrawnSeries
    seconds: dict[str, float]
    numbers: Numbers | None = None
    """What a regressor predicts, with its scores."""
    explanations: Explanations | None = None
    """Which stretches of the first drawn series the predictions rest on."""
    knows_training: bool = False
    """Whether the majority class is that of the training series."""

    @property
    def is_sampled(self) -> bool:
        """Whether only some of the series are drawn."""
        return len(self.drawn.rows) < len(self.series)


def run_analysis(
    model: Any,
    X: Any,
    y: Any,
    ids: ArrayLike | None,
    *,
    channel_names: Sequence[str] | None = None,
    y_train: Any = None,
    max_points: int,
    n_anomalies: int,
    random_state: int,
) -> Analysis:
    """Run each step of a model over the series once; see `save_report` for the parameters."""
    check_is_fitted(model)
    parts = pipeline_parts(model)
    seconds: dict[str, float] = {}
    X = parts.series(X)
    with _timed(seconds, "reconstructing"):
        series, evaluation = evaluate_series(parts.autoencoder, X)
    is_regressor = parts.regressor is not None
    labels = None if is_regressor else _check_labels(y, series)
    names = series_ids_or_default(series, ids)
    channel_names = channel_names_or_default(series, channel_names)
    with _timed(seconds, "embedding"):
        embeddings = parts.autoencoder.transform(X)
    features = parts.features(embeddings)
    predictions = None
    if parts.classifier is not None:
        with _timed(seconds, "classifying"):
            predictions = np.asarray(parts.classifier.predict(features))
    numbers = None
    if parts.regressor is not None:
        with _timed(seconds, "predicting"):
            predicted = as_columns(parts.regressor.predict(features))
        if y is not None:
            check_labels(y, series)
        true = None if y is None else target_numbers(y, series.ids)
        numbers = score_numbers(predicted, true, y_train)
    scores = None
    if labels is not None and predictions is not None:
        known = None if y_train is None else np.asarray(column_or_1d(y_train))
        scores = score_predictions(labels, predictions, known)
    errors = evaluation.squared_error / evaluation.n_values
    n_drawn, n_steps = size_limits(series.n_channels, series.lengths, min(max_points, len(series)))
    strata = predictions if labels is None else labels
    rows = sample_rows(errors, strata, n_drawn, n_anomalies, random_state)
    positions, explained = project_pca(np.asarray(features, dtype=np.float64))
    return Analysis(
        model=model,
        parts=parts,
        series=series,
        names=[f"series {row}" if names is None else names[row] for row in rows],
        channel_names=channel_names,
        labels=labels,
        predictions=predictions,
        confidences=_confidences(parts.classifier, features, predictions, rows),
        scores=scores,
        errors=errors,
        r_squared=evaluation.r_squared,
        positions=positions[rows],
        explained=explained,
        drawn=draw_series(parts.autoencoder, series, rows, n_steps),
        seconds=seconds,
        numbers=numbers,
        explanations=explain(parts, series, rows),
        knows_training=y_train is not None,
    )


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started


def _check_labels(y: Any, series: Series) -> NDArray[Any] | None:
    """Return the labels as an array, after checking that there is one per series."""
    if y is None:
        return None
    check_labels(y, series)
    labels = np.asarray(column_or_1d(y))
    check_classification_targets(labels)
    return labels


def _confidences(
    classifier: Any, features: Any, predictions: NDArray[Any] | None, rows: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return the probability of the class predicted for each of `rows`, if there are any."""
    if predictions is None or not hasattr(classifier, "predict_proba"):
        return None
    drawn = features.iloc[rows] if hasattr(features, "iloc") else np.asarray(features)[rows]
    probabilities = np.asarray(classifier.predict_proba(drawn), dtype=np.float64)
    columns = np.searchsorted(classifier.classes_, predictions[rows])
    confidences: NDArray[np.float64] = probabilities[np.arange(len(rows)), columns]
    return confidences
