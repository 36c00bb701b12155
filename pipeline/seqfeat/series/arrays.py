"""Arrays and lists of single series as `Series`, and the order of their axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError, LayoutWarning
from seqfeat.runtime.float_errors import without_float_errors
from seqfeat.runtime.user_warnings import warn_user
from seqfeat.series.lazy_array import LazyArray
from seqfeat.series.numbers import as_numbers
from seqfeat.series.series import Series, to_object_array

__all__ = [
    "as_list",
    "from_array",
    "from_channels_first",
    "from_list",
    "pad",
    "warn_if_transposed",
]


def from_array(array: NDArray[Any] | LazyArray, ids: pd.Index[Any] | None = None) -> Series:
    """Return an array of shape (N, T, C) or (N, T) as `Series`; its values are not checked."""
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(_explain_shape(array.shape))
    lengths = np.full(len(array), array.shape[1], dtype=np.int64)
    if array.ndim == 3:
        return Series(array, lengths)
    values = array.with_channel_axis() if isinstance(array, LazyArray) else array[:, :, None]
    return Series(values, lengths, form="table", ids=ids)


def _explain_shape(shape: tuple[int, ...]) -> str:
    """Return an error message in scikit-learn's wording, which its estimator checks expect."""
    if shape and shape[0] == 0:
        return f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required."
    if len(shape) in (2, 3):
        return (
            f"Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is required: "
            "every series needs at least 1 timestep and 1 channel."
        )
    expected = (
        f"Expected 2D or 3D array, got {len(shape)}D array instead (shape={shape}): seqfeat reads "
        "(n_samples, n_timesteps, n_channels), or (n_samples, n_timesteps) for one channel. "
    )
    if len(shape) < 2:
        return expected + (
            "Reshape your data using X.reshape(1, -1, 1) if it is a single series, or "
            "X.reshape(-1, 1, 1) if it is one timestep of many series."
        )
    return expected + (
        "Reshape your data: X.reshape(len(X), X.shape[1], -1) joins all axes after the second "
        "into channels."
    )


def as_list(X: Any) -> list[Any] | None:
    """Return a collection of single series as a list, or None if `X` is one regular array."""
    if isinstance(X, pd.Series) and X.dtype == object:
        X = X.to_numpy()
    if isinstance(X, np.ndarray):
        is_collection = X.dtype == object and X.ndim == 1 and len(X) > 0 and _is_one_series(X[0])
        return list(X) if is_collection else None
    if not _is_sequence(X) or not len(X):
        return None
    if any(_is_array(item) for item in X):
        return list(X)
    if all(_is_sequence(item) for item in X) and _is_ragged(X):
        return list(X)
    return None


def _is_one_series(item: Any) -> bool:
    return _is_array(item) or _is_sequence(item)


def _is_array(item: Any) -> bool:
    """Return whether an element is an array, tensor or frame, and not a number."""
    if hasattr(item, "tocsr"):
        return True
    is_nested = getattr(item, "is_nested", False) is True  # A tensor without a shape.
    return hasattr(item, "__array__") and (is_nested or getattr(item, "shape", ()) != ())


def _is_sequence(X: Any) -> bool:
    """Return whether `X` is a list, or similar; NumPy reads memory views as arrays."""
    return isinstance(X, Sequence) and not isinstance(X, (str, bytes, bytearray, memoryview))


def _is_ragged(X: Sequence[Sequence[Any]]) -> bool:
    """Return whether nested lists differ in length at some level, so that they are no array."""
    try:
        np.asarray(X)
    except Exception:
        # Where there is another reason, the series that is to blame is named later.
        return True
    return False


def from_list(items: list[Any], ids: pd.Index[Any] | None = None) -> Series:
    """Return single series of shape (T_i, C) or (T_i,) as `Series`; their values are not checked.

    Raises
    ------
    InputError
        If a series is empty or has more than two axes, or if the channels differ.
    InputTypeError
        If a series does not hold real numbers.
    """
    arrays = [_convert_item(index, item) for index, item in enumerate(items)]
    _check_same_columns(items)
    n_channels = arrays[0].shape[1]
    for index, array in enumerate(arrays):
        if array.shape[1] != n_channels:
            raise InputError(
                f"series {index} has {array.shape[1]} channels, series 0 has {n_channels}; all "
                "series must have the same channels. Each series is read as (n_timesteps, "
                "n_channels); transpose them if the channels come first."
            )
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    return Series(pad(arrays, lengths), lengths, form="list", ids=ids)


def _convert_item(index: int, item: Any) -> NDArray[Any]:
    """Return one series of a list as an array of shape (n_timesteps, n_channels)."""
    array = _item_as_numbers(index, item)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise InputError(
            f"series {index} has shape {array.shape}; each series of a list must have shape "
            "(n_timesteps, n_channels) or (n_timesteps,). Reshape it, or drop it."
        )
    if 0 in array.shape:
        raise InputError(
            f"series {index} has {array.shape[0]} timesteps and {array.shape[1]} channels; "
            "every series needs at least 1 of each. Drop it, or pass its values."
        )
    return array


def _item_as_numbers(index: int, item: Any) -> NDArray[Any]:
    """Return one series of a list as numbers; errors name the series."""
    try:
        return as_numbers(item)
    except (TypeError, ValueError) as error:
        kind = InputTypeError if isinstance(error, TypeError) else InputError
        raise kind(f"series {index}: {error}") from error


def _check_same_columns(items: list[Any]) -> None:
    """Check that frames have the same columns, as they are joined by position."""
    if not hasattr(items[0], "columns"):
        return
    first = list(items[0].columns)
    for index, item in enumerate(items):
        if hasattr(item, "columns") and list(item.columns) != first:
            raise InputError(
                f"series {index} has the columns {list(item.columns)}, series 0 has "
                f"{first}; all series must have the same channels in the same order. "
                "Select them from each frame: frame[channels]."
            )


def pad(arrays: list[NDArray[Any]], lengths: NDArray[np.int64]) -> NDArray[Any]:
    """Return arrays of shape (T_i, C) as one of shape (N, T, C), padded with NaN at the end."""
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


@without_float_errors
def from_channels_first(X: Any) -> NDArray[Any]:
    """Move the channels of series from the first axis, as in aeon and sktime, to the last.

    Parameters
    ----------
    X : array-like
        An array of shape (n_samples, n_channels, n_timesteps), or a list of
        n_samples arrays of shape (n_channels, n_timesteps_i) or (n_timesteps_i,).

    Returns
    -------
    X : ndarray
        Views: an array of shape (n_samples, n_timesteps, n_channels); or, for a
        list, an object array of shape (n_samples,) that holds one array of shape
        (n_timesteps_i, n_channels) per series, so that scikit-learn can split it.

    Raises
    ------
    InputError
        If the number of dimensions is not supported.
    InputTypeError
        If `X` does not hold real numbers.

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
    items = as_list(X)
    if items is not None:
        return to_object_array([_transpose_item(index, item) for index, item in enumerate(items)])
    array = as_numbers(X)
    if array.ndim != 3:
        raise InputError(
            f"X has shape {array.shape}; from_channels_first reads (n_samples, n_channels, "
            "n_timesteps). A table (n_samples, n_timesteps) of one channel needs no conversion."
        )
    return array.transpose(0, 2, 1)


def _transpose_item(index: int, item: Any) -> NDArray[Any]:
    array = _item_as_numbers(index, item)
    if array.ndim not in (1, 2):
        raise InputError(
            f"series {index} has shape {array.shape}; each series of a list must have shape "
            "(n_channels, n_timesteps) or (n_timesteps,). Reshape it, or drop it."
        )
    return array[:, None] if array.ndim == 1 else array.T


def warn_if_transposed(series: Series) -> None:
    """Warn if the series have more channels than timesteps, as (N, C, T) would."""
    _, n_timesteps, n_channels = series.values.shape
    if n_channels > n_timesteps:
        warn_user(
            f"X has {n_timesteps} timesteps and {n_channels} channels (shape "
            f"{series.values.shape}); seqfeat reads (n_samples, n_timesteps, n_channels). "
            "If the channels come first, pass seqfeat.series.from_channels_first(X).",
            LayoutWarning,
        )
