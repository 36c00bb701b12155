"""Whatever the user has, as one canonical form: `Series`.

`as_series` recognises the form of the input, checks it once, and returns a
`Series`. Nothing is cast, copied or filled here: numbers keep their dtype until
a block of rows is scaled, so that a memory-mapped array is never read whole
into memory and a float64 signal on a large offset keeps its digits.

NumPy and pandas only.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError, LayoutWarning

__all__ = ["Series", "as_series"]

Form = Literal["array", "table", "list"]

BLOCK_BYTES = 32 * 2**20
"""Bytes of input looked at together while a large array is checked or scaled."""
COMPLEX = "Complex data not supported. Pass the real and imaginary parts as channels."


@dataclass(frozen=True, eq=False)
class Series:
    """N series of up to T timesteps and C channels.

    Attributes
    ----------
    values : ndarray of shape (N, T, C)
        The numbers, in the dtype they came in. NaN marks what was not observed:
        the padding behind a shorter series and missing values inside it.
    lengths : ndarray of shape (N,), int64
        Timesteps of each series, without the padding.
    is_complete : bool
        Whether every value within every length was observed.
    form : {"array", "table", "list"}
        What the input was: a 3-D array; a 2-D table (n_samples, n_timesteps) of
        one channel with, as everywhere in scikit-learn, a fixed number of
        columns; or a list of single series.
    """

    values: NDArray[Any]
    lengths: NDArray[np.int64]
    is_complete: bool = True
    form: Form = "array"

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_timesteps(self) -> int:
        """Timesteps of the longest series."""
        return int(self.values.shape[1])

    @property
    def n_channels(self) -> int:
        """Channels of every series."""
        return int(self.values.shape[2])

    @cached_property
    def is_dense(self) -> bool:
        """Whether nothing is missing and all series are equally long."""
        return self.is_complete and bool((self.lengths == self.n_timesteps).all())

    @property
    def observed(self) -> NDArray[np.bool_] | None:
        """Which values were observed, shape (N, T, C), or None when all were."""
        return None if self.is_dense else ~np.isnan(self.values)

    def take(self, rows: NDArray[np.int64]) -> Series:
        """Return a copy of the given series."""
        return Series(self.values[rows], self.lengths[rows], self.is_complete, self.form)

    def like_input(self, values: NDArray[Any]) -> NDArray[Any] | list[NDArray[Any]]:
        """Return values of shape (N, T, C) in the form that the input had."""
        if self.form == "table":
            return values[:, :, 0]
        if self.form == "list":
            return [row[:length] for row, length in zip(values, self.lengths, strict=True)]
        return values

    def blocks(self) -> Iterator[slice]:
        """Yield slices of rows that together make up the set, `BLOCK_BYTES` of float64 each."""
        size = max(1, BLOCK_BYTES // (8 * self.n_timesteps * self.n_channels))
        for start in range(0, len(self), size):
            yield slice(start, min(start + size, len(self)))


def as_series(X: Any, *, missing: str = "error") -> Series:
    """Convert and check any accepted input.

    Parameters
    ----------
    X : array-like
        One of: an array of shape (N, T, C); an array or table of shape (N, T),
        one channel; a list, tuple or object array of N arrays of shape (T_i, C)
        or (T_i,). Real numbers of any dtype. The input is never written to.
    missing : {"error", "mask"}, default="error"
        What NaN means. ``"error"`` refuses it. ``"mask"`` takes it as not
        observed: timesteps at the end of a series at which no channel was
        observed make the series shorter, any other NaN is a missing value.

    Returns
    -------
    Series
        A view of `X` where its form allows it.

    Raises
    ------
    InputError
        If the shape, an infinity, a NaN or an empty series rules the input out.
    InputTypeError
        If `X` does not hold real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat.series import as_series
    >>> series = as_series([np.ones((5, 2)), np.ones((3, 2))])
    >>> series.values.shape, series.lengths.tolist()
    ((2, 5, 2), [5, 3])
    """
    if missing not in ("error", "mask"):
        raise InputError(f"missing={missing!r}; pass 'error' or 'mask'.")
    _refuse_multi_index(X)
    items = _as_items(X)
    unchecked = _from_array(_as_numeric_array(X)) if items is None else _from_items(items)
    return _checked(unchecked, missing)


def warn_if_transposed(series: Series) -> None:
    """Warn where (N, T, C) looks like (N, C, T): more channels than timesteps."""
    _, n_timesteps, n_channels = series.values.shape
    if n_channels > n_timesteps:
        warnings.warn(
            f"X has {n_timesteps} timesteps and {n_channels} channels (shape "
            f"{series.values.shape}); seqfeat reads (n_samples, n_timesteps, n_channels). "
            "If the channels come first, pass X.transpose(0, 2, 1).",
            LayoutWarning,
            stacklevel=6,
        )


def _as_items(X: Any) -> list[Any] | None:
    """Return the members of a collection of series, or None if `X` is one array."""
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


def _from_items(items: list[Any]) -> Series:
    arrays = [_as_item(index, item) for index, item in enumerate(items)]
    n_channels = arrays[0].shape[1]
    for index, array in enumerate(arrays):
        if array.shape[1] != n_channels:
            raise InputError(
                f"series {index} has {array.shape[1]} channels, series 0 has {n_channels}; "
                "all series need the same channels. Every series is read as "
                "(n_timesteps, n_channels); transpose them if the channels come first."
            )
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    dtype = np.result_type(*{array.dtype for array in arrays})
    if (lengths == lengths[0]).all():
        return Series(np.stack(arrays).astype(dtype, copy=False), lengths, form="list")
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
    values = np.full((len(arrays), int(lengths.max()), n_channels), np.nan, dtype=dtype)
    for row, array in zip(values, arrays, strict=True):
        row[: len(array)] = array
    return Series(values, lengths, form="list")


def _as_item(index: int, item: Any) -> NDArray[Any]:
    """Return one series as (n_timesteps, n_channels)."""
    try:
        array = _as_numeric_array(item)
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


def _from_array(array: NDArray[Any]) -> Series:
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
    if array.ndim == 2:
        return Series(array[:, :, None], lengths, form="table")
    return Series(array, lengths)


def _wrong_dimensions(array: NDArray[Any]) -> str:
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


def _as_numeric_array(X: Any) -> NDArray[Any]:
    """Return `X` as an array of real numbers, without a copy where it is one already."""
    if hasattr(X, "tocsr"):
        raise InputTypeError(
            "Sparse data was passed, but dense data is required: series are read step by step. "
            "Use X.toarray() to convert to a dense array."
        )
    if isinstance(X, np.ma.MaskedArray):
        raise InputTypeError(
            "X is a masked array, whose mask NumPy would drop. Pass "
            "X.astype(float).filled(np.nan) with missing='mask'."
        )
    array = _array_of(X)
    if array.dtype == object:
        array = _numbers_of(array)
    if array.dtype.kind == "c":
        raise InputError(
            f"Complex data not supported (dtype {array.dtype}). Pass X.real and X.imag as channels."
        )
    if array.dtype.kind not in "fiub":
        raise InputTypeError(
            f"X has dtype {array.dtype}; series hold real numbers. Convert it first, "
            "for example with X.astype(float)."
        )
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array.astype(np.float64) if array.dtype.itemsize > 8 else array


def _refuse_multi_index(X: Any) -> None:
    if isinstance(X, pd.DataFrame) and isinstance(X.index, pd.MultiIndex):
        raise InputTypeError(
            "X is a DataFrame with a MultiIndex; seqfeat reads a table as "
            "(n_samples, n_timesteps). Pass a list with one (n_timesteps, n_channels) frame per "
            "series: [frame for _, frame in X.groupby(level=0)]."
        )


def _array_of(X: Any) -> NDArray[Any]:
    try:
        return np.asarray(X)
    except ValueError as error:
        raise InputError(
            f"X is no regular array ({error}). Pass series of unequal length as a list of "
            "(n_timesteps, n_channels) arrays."
        ) from error


def _numbers_of(array: NDArray[Any]) -> NDArray[np.float64]:
    """Convert an object array whose every element is a number."""
    for position, value in enumerate(array.flat):
        if isinstance(value, (str, bytes)):
            raise InputTypeError(
                f"X holds the text {value!r} at flat position {position}; series hold real numbers."
            )
        if isinstance(value, (complex, np.complexfloating)):
            raise InputError(COMPLEX)
    try:
        # pandas' own sign for a missing value is no number; NaN is.
        return np.where(pd.isna(array), np.nan, array).astype(np.float64)
    except TypeError as error:
        # NumPy's own words, which name the type that was found.
        raise InputTypeError(f"X holds something that is no number: {error}") from error
    except ValueError as error:
        raise InputError(f"X holds something that is no number: {error}") from error


def _checked(series: Series, missing: str) -> Series:
    """Refuse what cannot be used, and find the lengths that NaN padding hides."""
    if series.values.dtype.kind != "f":
        return series
    lengths = series.lengths.copy()
    is_complete = True
    for rows in series.blocks():
        block = series.values[rows]
        padding = np.arange(series.n_timesteps) >= series.lengths[rows, None]
        unobserved = np.isnan(block)
        _refuse_infinities(block, rows.start)
        unobserved[padding] = False
        if not unobserved.any():
            continue
        if missing == "error":
            _refuse_nan(unobserved, rows.start)
        lengths[rows] = _observed_lengths(np.isnan(block), rows.start)
        inside = np.arange(series.n_timesteps) < lengths[rows, None]
        is_complete &= not bool(unobserved[inside].any())
    return Series(series.values, lengths, is_complete, series.form)


def _refuse_infinities(block: NDArray[Any], first_row: int) -> None:
    infinite = np.isinf(block)
    if infinite.any():
        row, step, channel = np.argwhere(infinite)[0]
        raise InputError(
            f"Input X contains infinity: series {first_row + row} has {block[row, step, channel]} "
            f"at timestep {step}, channel {channel}. Replace it, or set it to NaN and pass "
            "missing='mask'."
        )


def _refuse_nan(unobserved: NDArray[np.bool_], first_row: int) -> None:
    row, step, channel = np.argwhere(unobserved)[0]
    raise InputError(
        f"Input X contains NaN: series {first_row + row} has NaN at timestep {step}, channel "
        f"{channel}. Pass missing='mask' to read NaN as not observed (and NaN at the end as a "
        "shorter series), or fill it."
    )


def _observed_lengths(unobserved: NDArray[np.bool_], first_row: int) -> NDArray[np.int64]:
    """Return each series' length up to its last step with an observed channel."""
    any_observed: NDArray[np.bool_] = np.logical_not(unobserved.all(axis=2))
    empty = np.logical_not(any_observed.any(axis=1))
    if empty.any():
        raise InputError(
            f"series {first_row + int(np.argmax(empty))} holds nothing but NaN; every series "
            "needs at least 1 observed value. Drop it, or pass its values."
        )
    lengths: NDArray[np.int64] = any_observed.shape[1] - np.argmax(any_observed[:, ::-1], axis=1)
    return lengths
