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
from seqfeat.series.series import Series
from seqfeat.series.tensors import is_tensor, tensor_as_array

__all__ = ["check_labels", "class_labels", "encode_labels"]


def check_labels(y: Any, series: Series) -> None:
    """Check that labels match the series, even if they are not used.

    A classifier after the autoencoder would notice a mismatch only after training. And labels
    whose index names the same series in another order, such as the result of a groupby, which
    sorts, would silently be matched by position.
    """
    y = _as_labels(y)
    check_consistent_length(series, y)
    if series.form != "frame" or not isinstance(y, pd.Series) or series.ids is None:
        return
    if not y.index.equals(series.ids) and set(y.index) == set(series.ids):
        raise InputError(
            f"y names the same series as X, but in another order: X begins with "
            f"{series.ids[0]}, y with {y.index[0]}. Sort X.sort_index() and y.sort_index()."
        )


def class_labels(y: Any, X: Any) -> NDArray[Any]:
    """Return the labels of `X` as an array, and check that they are classes.

    Raises
    ------
    ValueError
        If `y` is missing, is continuous, differs from `X` in length, or contains NaN.
    """
    if y is None:
        raise InputError(
            "LSTMAutoencoder with target_weight > 0 requires y to be passed, but the target y is "
            "None. Pass the labels, or set target_weight=0."
        )
    y = _as_labels(y)
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        raise InputError(
            "y is a masked array, but every series needs a label. Drop the series without one, "
            "X[~y.mask] and y[~y.mask]."
        )
    # As objects, because NumPy would convert a NaN among strings to a string.
    if pd.isna(np.asarray(y, dtype=object)).any():
        raise InputError(
            "Input y contains NaN: every series needs a label. Drop those without one."
        )
    labels: NDArray[Any] = column_or_1d(y, warn=True)
    check_consistent_length(X, labels)
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    return labels


def _as_labels(y: Any) -> Any:
    """Return labels as scikit-learn reads them: not as any tensor, nor as NumPy's StringDType."""
    if is_tensor(y):
        return tensor_as_array(y, "y")
    return y.astype(object) if isinstance(y, np.ndarray) and y.dtype.kind == "T" else y


def encode_labels(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return each label's index among sorted classes.

    Raises
    ------
    InputError
        If there are fewer than two classes, or a label is not among them.
    """
    if len(classes) < 2:
        raise InputError(
            f"y holds 1 class, {classes.tolist()[0]!r}; target_weight > 0 needs at least 2. Add "
            "series of another class, or set target_weight=0."
        )
    unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        raise InputError(
            f"y holds {unknown.tolist()}, which are not among the classes {classes.tolist()}. Pass "
            "all classes to the first call of partial_fit."
        )
    return np.searchsorted(classes, labels)
