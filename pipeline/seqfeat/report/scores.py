"""How often a classifier was right: accuracy, confidence, confusions, classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support as precision_recall

from seqfeat.exceptions import InputError

__all__ = ["ClassRow", "Scores", "accuracy_interval", "score_predictions"]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class ClassRow:
    """How one class fared."""

    name: Any
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """Figures of a set of predictions.

    ``interval`` is Wilson's, at 95 %, for the accuracy. ``pairs`` has a row for each
    true class and class predicted for it, as their places among ``classes``, and the
    number of series; a matrix of very many classes would not fit into memory.
    ``majority`` is the class that most series have.
    """

    n_right: int
    n_series: int
    interval: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    classes: NDArray[Any]
    pairs: NDArray[np.int64]
    by_class: list[ClassRow]
    majority: Any
    majority_share: float

    @property
    def accuracy(self) -> float:
        """Share of the series whose class was predicted."""
        return self.n_right / self.n_series

    def matrix(self) -> NDArray[np.int64]:
        """Return the confusion matrix, rows true and columns predicted."""
        matrix = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        matrix[self.pairs[:, 0], self.pairs[:, 1]] = self.pairs[:, 2]
        return matrix


def score_predictions(labels: NDArray[Any], predictions: NDArray[Any]) -> Scores:
    """Compare predictions with labels; classes are those of either."""
    _refuse_other_kind(labels, predictions)
    classes = np.union1d(labels, predictions)
    true, predicted = (np.searchsorted(classes, values) for values in (labels, predictions))
    kinds, counts = np.unique(true * len(classes) + predicted, return_counts=True)
    pairs = np.column_stack([*np.divmod(kinds, len(classes)), counts])
    n_right, n_series = int((true == predicted).sum()), len(labels)
    columns = precision_recall(labels, predictions, labels=classes, zero_division=0.0)
    rows = [
        ClassRow(name, float(precision), float(recall), float(f1), int(support))
        for name, precision, recall, f1, support in zip(classes, *columns, strict=True)
    ]
    majority = max(rows, key=lambda row: row.support)
    return Scores(
        n_right=n_right,
        n_series=n_series,
        interval=accuracy_interval(n_right, n_series),
        balanced_accuracy=float(np.mean([row.recall for row in rows if row.support])),
        macro_f1=float(np.mean([row.f1 for row in rows])),
        classes=classes,
        pairs=pairs,
        by_class=rows,
        majority=majority.name,
        majority_share=majority.support / n_series,
    )


def accuracy_interval(n_right: int, n_series: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    interval = binomtest(n_right, n_series).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def _refuse_other_kind(labels: NDArray[Any], predictions: NDArray[Any]) -> None:
    """Refuse to compare text with numbers, which are never equal."""
    is_text = [isinstance(values.tolist()[0], str) for values in (labels, predictions)]
    if is_text[0] != is_text[1]:
        kinds = ["text" if text else "numbers" for text in is_text]
        raise InputError(
            f"y holds {kinds[0]}, such as {labels.tolist()[0]!r}, and the model predicts "
            f"{kinds[1]}, such as {predictions.tolist()[0]!r}; pass labels of the kind that it "
            "was trained with."
        )
