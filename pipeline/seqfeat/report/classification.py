"""How well a classifier predicts: accuracy, its confidence interval and scores per class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support

from seqfeat.exceptions import InputError

__all__ = ["ClassScores", "ClassificationScores", "accuracy_interval", "score_predictions"]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class; `support` is the number of series that belong to it."""

    name: Any
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ClassificationScores:
    """The scores of a set of predictions.

    Attributes
    ----------
    n_correct, n_series : int
        Number of correct predictions, and of all.
    interval : tuple of float
        Wilson's 95% confidence interval of the accuracy.
    balanced_accuracy, macro_f1 : float
        Mean recall and mean F1 over the classes.
    classes : ndarray of shape (n_classes,)
        All classes that occur as a label or as a prediction, sorted.
    confusion_counts : ndarray of shape (n_pairs, 3)
        The confusion matrix in sparse form, as a full one would not fit into memory
        for very many classes. Each row holds the index of the true class, the index
        of the predicted class and the number of series.
    per_class : list of ClassScores
        The scores of each class, in the order of `classes`.
    majority_class : object
        The most frequent label of the training series, or of these if those are not known.
    majority_share : float
        The fraction of these series with that label.
    """

    n_correct: int
    n_series: int
    interval: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    classes: NDArray[Any]
    confusion_counts: NDArray[np.int64]
    per_class: list[ClassScores]
    majority_class: Any
    majority_share: float

    @property
    def accuracy(self) -> float:
        """The fraction of correct predictions."""
        return self.n_correct / self.n_series

    def confusion_matrix(self) -> NDArray[np.int64]:
        """Return the full confusion matrix: true classes in rows, predicted ones in columns."""
        matrix = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        true, predicted, counts = self.confusion_counts.T
        matrix[true, predicted] = counts
        return matrix


def score_predictions(
    labels: NDArray[Any], predictions: NDArray[Any], y_train: NDArray[Any] | None = None
) -> ClassificationScores:
    """Compare predictions with the true labels; `y_train` are those of the training series."""
    _check_same_type(labels, predictions)
    classes = np.union1d(labels, predictions)
    true, predicted = (np.searchsorted(classes, values) for values in (labels, predictions))
    pairs, counts = np.unique(true * len(classes) + predicted, return_counts=True)
    n_correct, n_series = int((true == predicted).sum()), len(labels)
    columns = precision_recall_fscore_support(
        labels, predictions, labels=classes, zero_division=0.0
    )
    per_class = [
        ClassScores(name, float(precision), float(recall), float(f1), int(support))
        for name, precision, recall, f1, support in zip(classes, *columns, strict=True)
    ]
    names, supports = np.unique(labels if y_train is None else y_train, return_counts=True)
    majority = names[supports.argmax()]
    return ClassificationScores(
        n_correct=n_correct,
        n_series=n_series,
        interval=accuracy_interval(n_correct, n_series),
        balanced_accuracy=float(np.mean([scores.recall for scores in per_class if scores.support])),
        macro_f1=float(np.mean([scores.f1 for scores in per_class])),
        classes=classes,
        confusion_counts=np.column_stack([*np.divmod(pairs, len(classes)), counts]),
        per_class=per_class,
        majority_class=majority,
        majority_share=float((labels == majority).mean()),
    )


def accuracy_interval(n_correct: int, n_series: int) -> tuple[float, float]:
    """Return Wilson's 95% confidence interval of an accuracy."""
    interval = binomtest(n_correct, n_series).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def _check_same_type(labels: NDArray[Any], predictions: NDArray[Any]) -> None:
    """Refuse to compare strings with numbers, which are never equal."""
    first_label, first_prediction = labels.tolist()[0], predictions.tolist()[0]
    if isinstance(first_label, str) == isinstance(first_prediction, str):
        return
    kinds = [
        "strings" if isinstance(value, str) else "numbers"
        for value in (first_label, first_prediction)
    ]
    raise InputError(
        f"y holds {kinds[0]}, such as {first_label!r}, but the model predicts {kinds[1]}, such as "
        f"{first_prediction!r}; pass labels of the type that the model was fitted with."
    )
