"""Labels: one for each series, checked before anything is trained, and classes as indices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.series import Series
from seqfeat.series.tensors import is_tensor, tensor_as_array

__all__ = [
    "are_multilabel",
    "as_labels",
    "check_index",
    "check_labels",
    "check_labels_of",
    "check_not_dict",
    "check_present",
    "class_labels",
    "encode_labels",
    "names_of",
]


def check_labels(y: Any, series: Series) -> None:
    """Check that every series has a label of its own, even if the labels are not used.

    A classifier after the autoencoder would notice only after the training. And labels whose
    index names the series in another order, such as the result of a groupby, which sorts, would
    silently be matched by position.

    Raises
    ------
    InputError
        If a label is missing, or if the labels belong to the rows of a frame or to other series.
    ValueError
        If there are more labels than series, or fewer.
    """
    rows = series.frame_rows
    if rows is not None:
        _check_not_by_row(y, len(series), len(rows.codes))
    if not isinstance(y, dict):
        check_consistent_length(series, as_labels(y))
    _check_match(y, series.ids, is_frame=rows is not None)


def check_labels_of(X: Any, y: Any) -> None:
    """Check labels in the same way against series that are yet to be converted."""
    ids = names_of(X)
    is_frame = isinstance(X, pd.DataFrame) and X.index.nlevels > 1
    if is_frame and ids is not None:
        _check_not_by_row(y, len(ids), len(X))
    _check_match(y, ids, is_frame=is_frame)


def names_of(X: Any) -> pd.Index[Any] | None:
    """Return the names of series that are yet to be converted, if they have any."""
    index: pd.Index[Any] | None = None
    if isinstance(X, Mapping):
        index = pd.Index(list(X))
    elif isinstance(X, (pd.Series, pd.DataFrame)):
        index = X.index.unique(level=0) if X.index.nlevels > 1 else X.index
    return index


def class_labels(y: Any, ids: pd.Index[Any] | None = None) -> NDArray[Any]:
    """Return labels as an array, and check that they are classes.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    ids : Index of length n_samples, optional
        The names of the series, for errors.

    Raises
    ------
    InputError
        If labels are missing, or of several types.
    ValueError
        If they are continuous, or not one for each series.
    """
    if y is None:
        raise InputError(
            "LSTMAutoencoder with target_weight > 0 requires y to be passed, but the target y is "
            "None. Pass the labels, or set target_weight=0."
        )
    check_not_dict(y)
    y = as_labels(y)
    check_present(y, ids)
    _check_one_type(y, ids)
    labels: NDArray[Any] = column_or_1d(y, warn=True)
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    return labels


def are_multilabel(y: Any) -> bool:
    """Return whether `y` holds several labels for each series, which some classifiers take."""
    shape = np.asarray(as_labels(y), dtype=object).shape
    return len(shape) > 1 and shape[1] > 1


def as_labels(y: Any) -> Any:
    """Return labels as scikit-learn reads them: not as any tensor, nor as NumPy's StringDType."""
    if is_tensor(y):
        return tensor_as_array(y, "y")
    return y.astype(object) if isinstance(y, np.ndarray) and y.dtype.kind == "T" else y


# Every series has one label


def _check_match(y: Any, ids: pd.Index[Any] | None, *, is_frame: bool) -> None:
    check_not_dict(y)
    check_index(y, ids, is_frame=is_frame)
    check_present(as_labels(y), ids)


def check_not_dict(y: Any) -> None:
    """Raise if labels are a dict, whose order need not be that of the series."""
    if isinstance(y, Mapping):
        raise InputTypeError(
            "y is a dict; pass the labels in the order of the series of X, [y[name] for name in "
            "names]."
        )


def _check_not_by_row(y: Any, n_series: int, n_rows: int) -> None:
    """Raise if a frame comes with a label for each of its rows, as it does in a splitter."""
    if hasattr(y, "__len__") and len(y) == n_rows != n_series:
        raise InputError(
            f"y has {n_rows} labels, one for each row of X, but a label belongs to a series, and X "
            f"has {n_series} series. Pass one label for each, or let X, y = "
            "seqfeat.series.from_long(...) read both from the table, one entry per series; "
            "scikit-learn's splitters cut those by series, but a frame by rows."
        )


def check_present(y: Any, ids: pd.Index[Any] | None, kind: str = "label") -> None:
    """Raise if a label is missing, whatever stands for it: None, NaN, NaT, NA or a mask.

    `kind` is what the error calls it.
    """
    # As objects, because NumPy would convert a NaN among strings to a string.
    values = np.asarray(y, dtype=object)
    is_missing = np.asarray(pd.isna(values))
    if isinstance(y, np.ma.MaskedArray):
        is_missing |= np.ma.getmaskarray(y)  # type: ignore[no-untyped-call]
    elif isinstance(y, (list, tuple)):
        is_masked = np.array([it is np.ma.masked for it in values.ravel()], dtype=bool)
        is_missing |= is_masked.reshape(values.shape)
    if not is_missing.any():
        return
    first = int(np.argwhere(is_missing)[0][0])
    n_missing = int(is_missing.reshape(len(values), -1).any(axis=1).sum())
    raise InputError(
        f"Input y contains NaN: {n_missing} of {len(values)} series {_have(n_missing)} no "
        f"{kind}, the first one being {_series(first, ids)}. Every series needs a {kind}: add it, "
        "or drop the series."
    )


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _series(position: int, ids: pd.Index[Any] | None) -> str:
    return f"series {position if ids is None or position >= len(ids) else ids[position]}"


# Labels that carry the names of their series


def check_index(
    y: Any, ids: pd.Index[Any] | None, *, is_frame: bool = False, name: str = "y"
) -> None:
    """Raise if the index of what belongs to the series names them in another order, or others.

    `name` is what it is called in `fit`.
    """
    is_indexed = isinstance(y, (pd.Series, pd.DataFrame))
    if not is_indexed or ids is None or len(y) != len(ids) or y.index.equals(ids):
        return
    labelled = y.index
    if set(labelled) == set(ids):
        problem = "names the same series as X, but in another order"
    elif _are_names(labelled, ids):
        problem = "names other series than X"
    else:
        return
    position = next((i for i in range(len(ids)) if labelled[i] != ids[i]), 0)
    names = "X.index.unique(level=0)" if is_frame else "X.index"
    raise InputError(
        f"{name} {problem}: entry {position} of X is {ids[position]}, of {name} "
        f"{labelled[position]}. Pass {name}.loc[{names}], or {name}.to_numpy() if its entries are "
        "in the order of X whatever they are called."
    )


def _are_names(labelled: pd.Index[Any], ids: pd.Index[Any]) -> bool:
    """Return whether two indexes can be compared: both of names, or both of row numbers.

    A split turns the numbering of labels without names into a list of row numbers.
    """
    if isinstance(labelled, pd.RangeIndex) or isinstance(ids, pd.RangeIndex):
        return False
    return _are_row_numbers(labelled) == _are_row_numbers(ids)


def _are_row_numbers(index: pd.Index[Any]) -> bool:
    return index.name is None and pd.api.types.is_integer_dtype(index.dtype)


# Classes


def _check_one_type(y: Any, ids: pd.Index[Any] | None) -> None:
    """Raise if labels are of types that cannot be told apart, or not be sorted: True, 1 and "1"."""
    if hasattr(y, "dtype") and y.dtype != object and not isinstance(y.dtype, pd.CategoricalDtype):
        return
    values = np.asarray(y, dtype=object).ravel()
    found: dict[str, int] = {}
    for type_ in set(map(type, values)):
        kind = _kind(type_)
        first = next(i for i, value in enumerate(values) if type(value) is type_)
        found[kind] = min(first, found.get(kind, first))
    if len(found) > 1:
        (one, i), (other, j) = sorted(found.items(), key=lambda item: item[1])[:2]
        raise InputError(
            f"y mixes labels of the types {one} and {other}: {values[i]!r} is that of "
            f"{_series(i, ids)}, {values[j]!r} that of {_series(j, ids)}. Convert them to one "
            "type, for example [str(label) for label in y]."
        )


def _kind(type_: type) -> str:
    """Return what a type of labels can be compared with."""
    if issubclass(type_, (bool, np.bool_)):
        return "bool"
    for kind, base in (("number", Number), ("str", str), ("datetime", datetime)):
        if issubclass(type_, base):
            return kind
    return type_.__name__


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
