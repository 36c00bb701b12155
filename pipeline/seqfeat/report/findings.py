"""What a model makes of series: each stage runs over all of them once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from seqfeat.display.embedding import principal_plane
from seqfeat.display.reconstructions import series_and_errors
from seqfeat.exceptions import InputError
from seqfeat.pipeline import PipelineParts, pipeline_parts
from seqfeat.report.sampling import Drawing, draw_series, drawable, sampled_rows
from seqfeat.report.scores import Scores, score_predictions
from seqfeat.series import Series
from seqfeat.training.labels import check_labels

__all__ = ["Findings", "find"]

T = TypeVar("T")


@dataclass(frozen=True)
class Findings:
    """All that the page tells, as numbers.

    Attributes
    ----------
    model : estimator
        What was asked about.
    parts : PipelineParts
        Its parts.
    series : Series
        All series.
    names : list of str
        What the drawn series are called.
    channel_names : list of str
        What their channels are called.
    labels, predictions : ndarray of shape (n_samples,) or None
        True classes, and predicted ones.
    confidences : ndarray of shape (n_drawn,) or None
        Probability of the predicted class of the drawn series.
    scores : Scores or None
        How they agree, where both are known.
    errors : ndarray of shape (n_samples,)
        Mean squared reconstruction error, in scaled units.
    r_squared : float
        Share of the variance that the reconstructions explain.
    positions : ndarray of shape (n_drawn, 2)
        The drawn series in the plane of the principal components of all.
    explained : ndarray of shape (2,)
        Share of the embeddings' variance along each.
    drawing : Drawing
        The drawn series, the largest error first.
    seconds : dict of str to float
        What took how long.
    """

    model: Any
    parts: PipelineParts
    series: Series
    names: list[str]
    channel_names: list[str]
    labels: NDArray[Any] | None
    predictions: NDArray[Any] | None
    confidences: NDArray[np.float64] | None
    scores: Scores | None
    errors: NDArray[np.float64]
    r_squared: float
    positions: NDArray[np.float64]
    explained: NDArray[np.float64]
    drawing: Drawing
    seconds: dict[str, float]

    @property
    def is_sampled(self) -> bool:
        """Whether fewer series are drawn than there are."""
        return len(self.drawing.rows) < len(self.series)


def find(
    model: Any,
    X: Any,
    y: Any,
    ids: ArrayLike | None,
    *,
    channel_names: Sequence[str] | None = None,
    max_points: int,
    n_anomalies: int,
    random_state: int,
) -> Findings:
    """Run a model over series; see `seqfeat.report.save_report` for the parameters."""
    check_is_fitted(model)
    parts = pipeline_parts(model)
    seconds: dict[str, float] = {}
    X = parts.series(X)
    series, evaluation = _timed(
        seconds, "reconstructing", lambda: series_and_errors(parts.autoencoder, X)
    )
    labels, all_names = _labels(y, series), _names(ids, series)
    channels = _channel_names(channel_names, series)
    embeddings = _timed(seconds, "embedding", lambda: parts.autoencoder.transform(X))
    features = parts.features(embeddings)
    predictions = None
    if parts.classifier is not None:
        classifier = parts.classifier
        predictions = _timed(
            seconds, "classifying", lambda: np.asarray(classifier.predict(features))
        )
    scores = None
    if labels is not None and predictions is not None:
        scores = score_predictions(labels, predictions)
    errors = evaluation.squared_error / evaluation.n_values
    n_drawn, n_steps = drawable(series.n_channels, series.lengths, min(max_points, len(series)))
    strata = predictions if labels is None else labels
    rows = sampled_rows(errors, strata, n_drawn, n_anomalies, random_state)
    positions, explained = principal_plane(np.asarray(features, dtype=np.float64))
    return Findings(
        model=model,
        parts=parts,
        series=series,
        names=[all_names[row] for row in rows],
        channel_names=channels,
        labels=labels,
        predictions=predictions,
        confidences=_confidences(parts.classifier, features, predictions, rows),
        scores=scores,
        errors=errors,
        r_squared=evaluation.r_squared,
        positions=positions[rows],
        explained=explained,
        drawing=draw_series(parts.autoencoder, series, rows, n_steps),
        seconds=seconds,
    )


def _timed(seconds: dict[str, float], name: str, run: Callable[[], T]) -> T:
    started = time.perf_counter()
    result = run()
    seconds[name] = time.perf_counter() - started
    return result


def _labels(y: Any, series: Series) -> NDArray[Any] | None:
    if y is None:
        return None
    check_labels(y, series)
    missing = np.flatnonzero(pd.isna(np.asarray(y, dtype=object).ravel()))
    if len(missing):
        raise InputError(
            f"y has no label for series {missing[0]}, and for {len(missing)} series in all; drop "
            "them, or pass y=None."
        )
    labels = np.asarray(column_or_1d(y))
    check_classification_targets(labels)
    return labels


def _names(ids: ArrayLike | None, series: Series) -> Any:
    if ids is None:
        return [f"series {row}" for row in range(len(series))] if series.ids is None else series.ids
    names = list(np.asarray(ids, dtype=object))
    if len(names) != len(series):
        raise InputError(
            f"ids has {len(names)} names for {len(series)} series; pass one for each, or None."
        )
    return names


def _channel_names(names: Sequence[str] | None, series: Series) -> list[str]:
    if names is None and series.frame_rows is not None:
        return [str(name) for name in series.frame_rows.columns]
    if names is None:
        return ["value"] if series.n_channels == 1 else list(map(str, range(series.n_channels)))
    if len(names) != series.n_channels:
        raise InputError(
            f"channel_names has {len(names)} names for {series.n_channels} channels; pass one for "
            "each, or None."
        )
    return [str(name) for name in names]


def _confidences(
    classifier: Any, features: Any, predictions: NDArray[Any] | None, rows: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return the probability of each drawn series' predicted class, where there are such."""
    if predictions is None or not hasattr(classifier, "predict_proba"):
        return None
    drawn = features.iloc[rows] if hasattr(features, "iloc") else np.asarray(features)[rows]
    probabilities = np.asarray(classifier.predict_proba(drawn), dtype=np.float64)
    column = np.searchsorted(classifier.classes_, predictions[rows])
    confidences: NDArray[np.float64] = probabilities[np.arange(len(rows)), column]
    return confidences
