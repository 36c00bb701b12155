"""Arrays, tables and lists of single series."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError, LayoutWarning
from seqfeat.series.lazy_array import LazyArray
from seqfeat.series.numbers import as_numbers
from seqfeat.series.series import Series, array_of_arrays

__all__ = [
    "as_items",
    "from_array",
    "from_channels_first",
    "from_items",
    "padded",
    "warn_if_transposed",
]


def as_items(X: Any) -> list[Any] | None:
    """Return the members of a collection of series, or None if `X` is one array."""
    if isinstance(X, pd.Series) and X.dtype == object:
        X = X.to_numpy()
    if isinstance(X, np.ndarray):
        is_collection = X.dtype == object and X.ndim == 1 and len(X) > 0 and np.ndim(X[0]) > 0
        return list(X) if is_collection else None
    if not isinstance(X, (list, tuple)) or not X:
        return None
    if any(isinstance(item, (np.ndarray, pd.Series, pd.DataFrame)) for item in X):
        return list(X)
    if all(isinstance(item, (list, tuple)) for item in X) and _is_ragged(X):
        return list(X)
    return None


def _is_ragged(X: Sequence[Sequence[Any]]) -> bool:
    """Whether nested lists differ in length at some level, so that they make no array."""
    try:
        np.asarray(X)
    except ValueError:
        return True
    return False


def from_items(items: list[Any], ids: pd.Index[Any] | None = None) -> Series:
    """Return single series of shape (T_i, C) or (T_i,) as one `Series`, unchecked."""
    arrays = [_as_item(index, item) for index, item in enumerate(items)]
    _refuse_other_columns(items)
    n_channels = arrays[0].shape[1]
    for index, array in enumerate(arrays):
        if array.shape[1] != n_channels:
            raise InputError(
                f"series {index} has {array.shape[1]} channels, series 0 has {n_channels}; "
                "all series need the same channels. Every series is read as "
                "(n_timesteps, n_channels); transpose them if the channels come first."
            )
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    return Series(padded(arrays, lengths), lengths, form="list", ids=ids)


def padded(arrays: list[NDArray[Any]], lengths: NDArray[np.int64]) -> NDArray[Any]:
    """Return arrays of shape (T_i, C) as one of shape (N, T, C), NaN behind the shorter ones."""
    if len(arrays) == 1:
        return arrays[0][None]
    dtype = np.result_type(*{array.dtype for array in arrays})
    if (lengths == lengths[0]).all():
        return np.stack(arrays).astype(dtype, copy=False)
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
    values = np.full((len(arrays), int(lengths.max()), arrays[0].shape[1]), np.nan, dtype=dtype)
    for row, array in zip(values, arrays, strict=True):
        row[: len(array)] = array
    return values


def _refuse_other_columns(items: list[Any]) -> None:
    """Refuse frames whose columns differ, which would be joined by position."""
    first = items[0]
    if not isinstance(first, pd.DataFrame):
        return
    for index, item in enumerate(items):
        if isinstance(item, pd.DataFrame) and list(item.columns) != list(first.columns):
            raise InputError(
                f"series {index} has the columns {list(item.columns)}, series 0 has "
                f"{list(first.columns)}; all need the same channels in the same order. Select "
                "them: frame[channels] for each frame."
            )


def _as_item(index: int, item: Any) -> NDArray[Any]:
    """Return one series as (n_timesteps, n_channels)."""
    try:
        array = as_numbers(item)
    except (TypeError, ValueError) as error:
        kind = InputTypeError if isinstance(error, TypeError) else InputError
        raise kind(f"series {index}: {error}") from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise InputError(
            f"series {index} has shape {array.shape}; each series of a list must be "
            "(n_timesteps, n_channels) or (n_timesteps,)."
        )
    if 0 in array.shape:
        raise InputError(
            f"series {index} has {array.shape[0]} timesteps and {array.shape[1]} channels; "
            "every series needs at least 1 of each. Drop it, or pass its values."
        )
    return array


def from_array(array: NDArray[Any] | LazyArray, ids: pd.Index[Any] | None = None) -> Series:
    """Return an array of shape (N, T, C) or (N, T) as `Series`, unchecked."""
    if array.ndim > 0 and len(array) == 0:
        raise InputError(
            f"Found array with 0 sample(s) (shape={array.shape}) while a minimum of 1 is required."
        )
    if array.ndim not in (2, 3):
        raise InputError(_wrong_dimensions(array))
    if 0 in array.shape:
        raise InputError(
            f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is "
            "required: every series needs at least 1 timestep and 1 channel."
        )
    lengths = np.full(len(array), array.shape[1], dtype=np.int64)
    if isinstance(array, LazyArray):
        form: Literal["table", "array"] = "table" if array.ndim == 2 else "array"
        return Series(LazyArray(array.array, array.ndim == 2), lengths, form=form)
    if array.ndim == 2:
        return Series(array[:, :, None], lengths, form="table", ids=ids)
    return Series(array, lengths)


def _wrong_dimensions(array: NDArray[Any] | LazyArray) -> str:
    expected = (
        f"Expected 2D or 3D array, got {array.ndim}D array instead (shape={array.shape}): seqfeat "
        "reads (n_samples, n_timesteps, n_channels), or (n_samples, n_timesteps) for one channel. "
    )
    if array.ndim < 2:
        return (
            expected + "Reshape your data using X.reshape(1, -1, 1) if it is a single series, "
            "or X.reshape(-1, 1, 1) if it is one timestep of many series."
        )
    return expected + (
        "Reshape your data: X.reshape(len(X), X.shape[1], -1) joins all axes behind the second "
        "into channels."
    )


def from_channels_first(X: Any) -> NDArray[Any]:
    """Return series in which the channels come first, as in aeon and sktime, in seqfeat's layout.

    Parameters
    ----------
    X : array-like
        An array of shape (n_samples, n_channels, n_timesteps), or a list of
        n_samples arrays of shape (n_channels, n_timesteps_i) or (n_timesteps_i,).

    Returns
    -------
    X : ndarray
        Views: of shape (n_samples, n_timesteps, n_channels), or an array of
        objects of shape (n_samples,) that holds one (n_timesteps_i, n_channels)
        array for each series, so that scikit-learn can split it.

    Raises
    ------
    InputError
        If there are too few or too many axes.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat.series import from_channels_first
    >>> from_channels_first(np.zeros((10, 3, 50))).shape
    (10, 50, 3)
    >>> unequal = [np.zeros((3, 50)), np.zeros((3, 40))]
    >>> [series.shape for series in from_channels_first(unequal)]
    [(50, 3), (40, 3)]
    """
    items = as_items(X)
    if items is not None:
        return array_of_arrays([_item(index, item) for index, item in enumerate(items)])
    array = as_numbers(X)
    if array.ndim != 3:
        raise InputError(
            f"X has shape {array.shape}; from_channels_first reads (n_samples, n_channels, "
            "n_timesteps). A table (n_samples, n_timesteps) of one channel needs no conversion."
        )
    return array.transpose(0, 2, 1)


def _item(index: int, item: Any) -> NDArray[Any]:
    array = as_numbers(item)
    if array.ndim not in (1, 2):
        raise InputError(
            f"series {index} has shape {array.shape}; each series of a list must be "
            "(n_channels, n_timesteps) or (n_timesteps,)."
        )
    return array[:, None] if array.ndim == 1 else array.T


def warn_if_transposed(series: Series) -> None:
    """Warn where (N, T, C) looks like (N, C, T): more channels than timesteps."""
    _, n_timesteps, n_channels = series.values.shape
    if n_channels > n_timesteps:
        warnings.warn(
            f"X has {n_timesteps} timesteps and {n_channels} channels (shape "
            f"{series.values.shape}); seqfeat reads (n_samples, n_timesteps, n_channels). "
            "If the channels come first, pass seqfeat.series.from_channels_first(X).",
            LayoutWarning,
            stacklevel=6,
        )
