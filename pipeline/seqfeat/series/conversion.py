"""`as_series`: any accepted input, recognised once and checked once.

Values are not cast, copied or filled here: they keep their dtype until a block of
rows is scaled, so a memory-mapped array is never read into memory as a whole, and
a small float64 signal on a large offset keeps its digits.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.runtime.float_errors import without_float_errors
from seqfeat.series.arrays import as_list, from_array, from_list
from seqfeat.series.lazy_array import LazyArray, is_lazy
from seqfeat.series.long import from_multi_index
from seqfeat.series.numbers import as_numbers, frame_as_numbers
from seqfeat.series.series import Series

__all__ = ["as_series"]


@without_float_errors
def as_series(X: Any, *, missing: str = "error") -> Series:
    """Convert any accepted input to `Series`, and check its values.

    Parameters
    ----------
    X : array-like
        One of: an array of shape (N, T, C); an array or table of shape (N, T),
        with one channel; a list, tuple, object array or pandas Series of N arrays
        of shape (T_i, C) or (T_i,); a DataFrame with a MultiIndex (series, time)
        and one column per channel. Real numbers of any dtype. Arrays may be
        memory-mapped, or belong to Zarr, h5py or Dask: those are read a few rows at
        a time. The input is never written to.
    missing : {"error", "mask"}, default="error"
        How to treat NaN. ``"error"`` raises an error. ``"mask"`` treats NaN as not
        observed: timesteps at the end of a series without any observed channel
        shorten the series, and any other NaN is a missing value.

    Returns
    -------
    Series
        A view of `X` where its form allows it.

    Raises
    ------
    InputError
        If the shape is not supported, a series is empty, or `X` contains infinity,
        or NaN with ``missing="error"``, or integers that float64 does not hold.
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
    if not isinstance(missing, str) or missing not in ("error", "mask"):
        raise InputError(f"missing={missing!r}; pass 'error' or 'mask'.")
    if isinstance(X, np.ndarray) and X.dtype != object:
        series = from_array(as_numbers(X))
    elif isinstance(X, pd.DataFrame):
        _check_names(X)
        is_long = isinstance(X.index, pd.MultiIndex)
        series = from_multi_index(X) if is_long else from_array(frame_as_numbers(X), ids=X.index)
    elif is_lazy(X):
        series = from_array(LazyArray(X))
    elif (arrays := as_list(X)) is not None:
        series = from_list(arrays, ids=X.index if isinstance(X, pd.Series) else None)
    else:
        series = from_array(as_numbers(X))
    return _check_values(series, missing)


def _check_names(frame: pd.DataFrame) -> None:
    """Check that no two columns have the same name, as scikit-learn compares them by name."""
    if not frame.columns.is_unique:
        name = frame.columns[frame.columns.duplicated()][0]
        raise InputError(
            f"more than one column of X is called {name!r}. Rename them, or pass X.to_numpy()."
        )


def _check_values(series: Series, missing: str) -> Series:
    """Check for infinity and NaN; with ``missing="mask"``, shorten series that end in NaN."""
    if series.values.dtype.kind != "f" or _is_finite(series.values):
        return series
    lengths = series.lengths.copy()
    is_complete = True
    steps = np.arange(series.values.shape[1])
    for rows in series.blocks():
        block = series.values[rows]
        _check_infinity(block, rows.start)
        is_nan = np.isnan(block)
        # Padding that was added to a list of unequal series is not NaN of the input.
        is_nan_of_input = is_nan & (steps < series.lengths[rows, None])[:, :, None]
        if not is_nan_of_input.any():
            continue
        if missing == "error":
            _raise_nan(is_nan_of_input, rows.start)
        lengths[rows] = _observed_lengths(is_nan, rows.start)
        is_complete &= not bool(is_nan[steps < lengths[rows, None]].any())
    return replace(series, lengths=lengths, is_complete=is_complete)


def _is_finite(values: NDArray[Any] | LazyArray) -> bool:
    """Return True if all values are finite; False means that they have to be looked at.

    One pass without a temporary array: a finite sum has no NaN or infinity among its
    terms. A sum that overflows is not finite either.
    """
    if isinstance(values, LazyArray):
        return False
    return math.isfinite(np.add.reduce(values, axis=None))


def _check_infinity(block: NDArray[Any], first_row: int) -> None:
    is_infinite = np.isinf(block)
    if is_infinite.any():
        row, step, channel = np.argwhere(is_infinite)[0]
        raise InputError(
            f"Input X contains infinity: series {first_row + row} has {block[row, step, channel]} "
            f"at timestep {step}, channel {channel}. Replace it, or set it to NaN and pass "
            "missing='mask'."
        )


def _raise_nan(is_nan: NDArray[np.bool_], first_row: int) -> NoReturn:
    row, step, channel = np.argwhere(is_nan)[0]
    raise InputError(
        f"Input X contains NaN: series {first_row + row} has NaN at timestep {step}, channel "
        f"{channel}. Pass missing='mask' to read NaN as not observed (and NaN at the end as a "
        "shorter series), or fill it."
    )


def _observed_lengths(is_nan: NDArray[np.bool_], first_row: int) -> NDArray[np.int64]:
    """Return the length of each series up to its last timestep with an observed channel."""
    is_observed = np.logical_not(is_nan.all(axis=2))
    is_empty = np.logical_not(is_observed.any(axis=1))
    if is_empty.any():
        raise InputError(
            f"series {first_row + int(np.argmax(is_empty))} contains nothing but NaN; every series "
            "needs at least 1 observed value. Drop it, or pass its values."
        )
    lengths: NDArray[np.int64] = is_observed.shape[1] - np.argmax(is_observed[:, ::-1], axis=1)
    return lengths
