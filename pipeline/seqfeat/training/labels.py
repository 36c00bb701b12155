"""Class labels as indices, checked in scikit-learn's own words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite

from seqfeat.exceptions import InputError
from seqfeat.runtime.ranks import Ranks
from seqfeat.series import Series

__all__ = ["check_labels", "encode_labels", "encode_labels_of_all"]


def check_labels(y: Any, series: Series) -> None:
    """Refuse labels that cannot belong to the series, also where they are not used.

    A classifier behind the autoencoder would do so after the training. And labels
    that name the same series in another order, such as a groupby's, which sorts,
    would be taken by position.
    """
    if y is None:
        return
    check_consistent_length(series, y)
    if series.form != "frame" or not isinstance(y, pd.Series) or series.ids is None:
        return
    if not y.index.equals(series.ids) and set(y.index) == set(series.ids):
        raise InputError(
            f"y names the same series as X, but in another order: X begins with "
            f"{series.ids[0]}, y with {y.index[0]}. Sort X.sort_index() and y.sort_index()."
        )


def encode_labels(
    y: Any, X: Any, *, classes: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the sorted classes and each label's index among them.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Class labels.
    X : sized
        What the labels belong to; only its length matters.
    classes : ndarray, default=None
        The classes there are, if `y` need not hold all of them.

    Raises
    ------
    ValueError
        If `y` is missing, continuous, of another length than `X`, holds NaN,
        fewer than two classes, or a class that is not among `classes`.
    """
    y = _checked(y, X)
    known = np.unique(y if classes is None else np.asarray(classes))
    if len(known) < 2:
        raise InputError(
            f"y holds 1 class, {known.tolist()[0]!r}; target_weight > 0 needs at least 2. Add "
            "series of another class, or set target_weight=0."
        )
    unknown = np.setdiff1d(y, known)
    if len(unknown):
        raise InputError(
            f"y holds {unknown.tolist()}, which are not among the classes {known.tolist()}. Pass "
            "all classes to the first call of partial_fit."
        )
    return known, np.searchsorted(known, y)


def encode_labels_of_all(
    ranks: Ranks, y: Any, X: Any, *, classes: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return what `encode_labels` does, the classes being those of all processes."""
    if classes is None and not ranks.is_alone:
        own = ranks.attempt(lambda: np.unique(_checked(y, X)))
        classes = np.unique(np.concatenate(ranks.gather(own)))
    return ranks.attempt(lambda: encode_labels(y, X, classes=classes))


def _checked(y: Any, X: Any) -> NDArray[Any]:
    """Return labels that are classes, one for each series."""
    if y is None:
        raise InputError(
            "LSTMAutoencoder with target_weight > 0 requires y to be passed, but the target y is "
            "None. Pass the labels, or set target_weight=0."
        )
    # As objects, because NumPy would make text of a NaN among texts.
    if pd.isna(np.asarray(y, dtype=object)).any():
        raise InputError("Input y contains NaN: every series needs a label. Drop those without.")
    labels: NDArray[Any] = column_or_1d(y, warn=True)
    check_consistent_length(X, labels)
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    return labels
