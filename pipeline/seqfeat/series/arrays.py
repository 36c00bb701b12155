"""Arrays and lists of single series as `Series`, and the order of their axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set, Sized
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError, LayoutWarning
from seqfeat.runtime.float_errors import without_float_errors
from seqfeat.runtime.user_warnings import warn_user
from seqfeat.series.lazy_array import LazyArray, is_lazy
from seqfeat.series.numbers import as_numbers, frame_from_library, is_frame
from seqfeat.series.series import Series, to_object_array, to_pandas_series
from seqfeat.series.tensors import is_tensor

__all__ = [
    "as_list",
    "from_array",
    "from_channels_first",
    "from_list",
    "ids_of",
    "is_mne",
    "mne_as_array",
    "pad",
    "reusable",
    "warn_if_transposed",
]


def from_array(array: NDArray[Any] | LazyArray, ids: pd.Index[Any] | None = None) -> Series:
    """Return an array of shape (N, T, C) or (N, T) as `Series`; its values are not checked."""
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(_explain_shape(array.shape))
    lengths = np.full(len(array), array.shape[1], dtype=np.int64)
    if array.ndim == 3:
        return Series(array, lengths, ids=ids)
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


# Lists


def as_list(X: Any) -> list[Any] | None:
    """Return a collection of single series as a list, or None if `X` is one regular array.

    Iterators are consumed. Raises `InputError` for what only looks like a collection of series.
    """
    _check_collection(X)
    if isinstance(X, Mapping):
        return list(X.values())
    if is_tensor(X):
        return list(X.unbind()) if X.is_nested else None
    if isinstance(X, Iterator):
        return _consumed(X)
    if isinstance(X, pd.Series) and X.dtype.kind == "O":
        X = X.to_numpy(object)
    if isinstance(X, np.ndarray):
        is_collection = X.dtype == object and X.ndim == 1 and any(map(_is_one_series, X))
        return list(X) if is_collection else None
    is_one_array = is_frame(X) or is_lazy(X) or hasattr(X, "tocsr")
    if is_one_array or isinstance(X, (pd.Series, memoryview)):
        return None
    if hasattr(X, "__array__"):
        return _foreign_list(X)
    if isinstance(X, Sized) and hasattr(X, "__getitem__") and not isinstance(X, Iterable):
        return [X[index] for index in range(len(X))]  # A data set of PyTorch.
    if not isinstance(X, Iterable) or (isinstance(X, Sized) and not len(X)):
        return None
    if not _is_sequence(X):
        return list(X)
    if any(_is_array(item) or isinstance(item, Mapping) for item in X):
        return list(X)
    items = list(X)
    return items if all(map(_is_sequence, items)) and _is_ragged(items) else None


def ids_of(X: Any) -> pd.Index[Any] | None:
    """Return the names of the series of a collection, if it has any."""
    names: pd.Index[Any] | None = None
    if isinstance(X, Mapping):
        names = pd.Index(list(X), tupleize_cols=False)
    elif isinstance(X, pd.Series):
        names = X.index
    return names


def reusable(X: Any) -> Any:
    """Return an iterator as a list, so that it can be read again, and anything else as it is."""
    return list(X) if isinstance(X, Iterator) else X


def _check_collection(X: Any) -> None:
    """Reject collections that are no lists of series, with what to pass instead."""
    kind, problem = type(X).__name__, None
    if isinstance(X, tuple) and hasattr(X, "batch_sizes"):
        problem = (
            "the sequences of a batch joined to one; pass torch.nn.utils.rnn.unpack_sequence(X)"
        )
    elif isinstance(X, tuple) and hasattr(X, "_fields"):
        problem = f"a named tuple of {', '.join(X._fields)}; pass the field that holds the series"
    elif isinstance(X, Mapping) and hasattr(X, "dims"):
        problem = "a set of labelled arrays; pass one of them, such as X.to_dataarray()"
    elif hasattr(X, "collect_schema") and hasattr(X, "collect"):
        problem = "a query that has not run yet; pass X.collect()"
    elif isinstance(X, Set):
        problem = "a set, which has no order; pass a list, or a dict of series by their ids"
    elif isinstance(X, (str, bytes, bytearray, PathLike)) or hasattr(X, "readline"):
        problem = "no series; to read them from a file, call X, y = seqfeat.series.read(path)"
    if problem is not None:
        raise InputTypeError(f"X has type {kind}: it is {problem}.")


def _consumed(X: Iterator[Any]) -> list[Any]:
    items = list(X)
    if not items:
        raise InputError(
            f"X is an iterator ({type(X).__name__}) that yields 0 series. If an earlier call has "
            "consumed it, make a list first, X = list(X), and pass that to both."
        )
    return items


def _foreign_list(X: Any) -> list[Any] | None:
    """Return a column of lists, of Polars, Arrow or Awkward Array, as a list."""
    try:
        array = np.asarray(X)
    except ValueError:  # Lists of unequal length.
        return [_item_of(one) for one in X] if isinstance(X, Iterable) else None
    except Exception:
        return None  # Whatever it is, it is reported where it is converted.
    is_collection = array.dtype == object and array.ndim == 1 and any(map(_is_one_series, array))
    return list(array) if is_collection else None


def _item_of(one: Any) -> Any:
    """Return an element of an Awkward Array, in which values may be missing."""
    try:
        return np.asarray(one)
    except ValueError:
        return one.to_list() if hasattr(one, "to_list") else one


def _is_one_series(item: Any) -> bool:
    return _is_array(item) or _is_sequence(item)


def _is_array(item: Any) -> bool:
    """Return whether an element is an array, tensor or frame, and not a number."""
    if hasattr(item, "tocsr") or is_mne(item):
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
    names = range(len(items)) if ids is None else list(map(repr, ids))
    channels, matched = _match_channels(items, names)
    arrays = [_convert_item(name, item) for name, item in zip(names, matched, strict=True)]
    n_channels = arrays[0].shape[1]
    for name, array in zip(names, arrays, strict=True):
        if array.shape[1] != n_channels:
            raise InputError(
                f"series {name} has {array.shape[1]} channels, series {names[0]} has {n_channels}; "
                "all series must have the same channels. Each series is read as (n_timesteps, "
                "n_channels); transpose them if the channels come first."
            )
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    return Series(pad(arrays, lengths), lengths, form="list", ids=ids, channel_names=channels)


def _convert_item(name: Any, item: Any) -> NDArray[Any]:
    """Return one series of a list as an array of shape (n_timesteps, n_channels)."""
    array = _item_as_numbers(name, item)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise InputError(
            f"series {name} has shape {array.shape}; each series of a list must have shape "
            "(n_timesteps, n_channels) or (n_timesteps,). Reshape it, or drop it."
        )
    if 0 in array.shape:
        raise InputError(
            f"series {name} has {array.shape[0]} timesteps and {array.shape[1]} channels; "
            "every series needs at least 1 of each. Drop it, or pass its values."
        )
    return array


def _item_as_numbers(name: Any, item: Any) -> NDArray[Any]:
    """Return one series of a list as numbers; errors name the series."""
    if isinstance(item, tuple) and list(map(_is_array, item)) == [True, False]:
        raise InputTypeError(
            f"series {name} is a pair of an array and a value of type {type(item[1]).__name__}. If "
            "that is the label, pass X and y apart: X, y = zip(*pairs)."
        )
    if is_mne(item) and len(item) == 1:  # Of Epochs that scikit-learn has split.
        return mne_as_array(item)[0]  # type: ignore[no-any-return]
    is_column = isinstance(item, np.ndarray) and item.dtype == object and item.ndim == 1
    is_nested = is_column and any(map(_is_array, item))
    try:
        # An array of arrays is how Arrow and pandas show a list of lists.
        return as_numbers([*item] if is_nested else item)
    except (TypeError, ValueError) as error:
        kind = InputTypeError if isinstance(error, TypeError) else InputError
        raise kind(f"series {name}: {error}") from error


def _match_channels(
    items: list[Any], names: Sequence[Any]
) -> tuple[list[str] | None, Sequence[Any]]:
    """Match the channels of frames by name to those of the first.

    Returns the channels' names, if all series are frames that have some, and the series.
    """
    frames = {
        index: _as_frame(names[index], item)
        for index, item in enumerate(items)
        if isinstance(item, Mapping) or is_frame(item)
    }
    if not frames:
        return None, items
    first_index, first = next((index, list(frame.columns)) for index, frame in frames.items())
    matched = list(items)
    for index, frame in frames.items():
        columns = list(frame.columns)
        if len(set(columns)) < len(columns) or set(columns) != set(first):
            raise InputError(
                f"series {names[index]} has the columns {columns}, series {names[first_index]} has "
                f"{first}; all series must have the same channels, each of them once. Select them "
                "from each frame: frame[channels]."
            )
        matched[index] = frame if columns == first else frame[first]
    have_names = len(frames) == len(items) and all(isinstance(name, str) for name in first)
    return (first if have_names else None), matched


def _as_frame(name: Any, item: Any) -> pd.DataFrame:
    """Return a frame of any library, or a dict of channels, as a frame of pandas."""
    if isinstance(item, pd.DataFrame):
        return item
    if not isinstance(item, Mapping):
        return frame_from_library(item)
    try:
        return pd.DataFrame(dict(item))
    except Exception as error:
        raise InputError(
            f"series {name} is a dict that is no table of channels ({error}). Pass one array for "
            "each channel, all of them as long."
        ) from error


# MNE


def is_mne(X: Any) -> bool:
    """Return whether `X` is an object of MNE that holds data by channel."""
    return hasattr(X, "get_data") and hasattr(X, "ch_names")


def mne_as_array(X: Any) -> NDArray[Any]:
    """Return Epochs as an array of shape (n_samples, n_timesteps, n_channels)."""
    data = X.get_data()
    if np.ndim(data) != 3 or not hasattr(X, "times"):
        raise InputTypeError(
            f"X has type {type(X).__name__}, with data of shape {np.shape(data)}; of MNE's "
            "objects, seqfeat reads Epochs. Cut a recording into windows with "
            "mne.make_fixed_length_epochs(X), or pass seqfeat.series.from_channels_first(data) "
            "with data of shape (n_samples, n_channels, n_timesteps)."
        )
    return as_numbers(data).transpose(0, 2, 1)


# Padding


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
def from_channels_first(X: Any) -> NDArray[Any] | pd.Series[Any]:
    """Move the channels of series from the first axis, as in aeon and sktime, to the last.

    Parameters
    ----------
    X : array-like
        An array of shape (n_samples, n_channels, n_timesteps), or a list of
        n_samples arrays of shape (n_channels, n_timesteps_i) or (n_timesteps_i,), or
        a dict of such arrays by id.

    Returns
    -------
    X : ndarray or pandas Series
        Views: an array of shape (n_samples, n_timesteps, n_channels); or, for a
        list, an object array of shape (n_samples,) that holds one array of shape
        (n_timesteps_i, n_channels) per series, so that scikit-learn can split it; as
        a pandas Series if the series have ids.

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
        arrays = [_transpose_item(index, item) for index, item in enumerate(items)]
        ids = ids_of(X)
        return to_object_array(arrays) if ids is None else to_pandas_series(arrays, ids)
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
