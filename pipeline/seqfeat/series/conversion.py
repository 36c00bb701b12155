"""`as_series`: whatever the user has, recognised once and checked once.

Nothing is cast, copied or filled here: numbers keep their dtype until a block
of rows is scaled, so that a memory-mapped array is never read whole into memory
and a float64 signal on a large offset keeps its digits.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.series.arrays import as_items, from_array, from_items
from seqfeat.series.lazy_array import LazyArray, is_lazy
from seqfeat.series.long import from_multi_index
from seqfeat.series.numbers import as_numbers, numeric_columns
from seqfeat.series.series import Series

__all__ = ["as_series", "checked"]


def as_series(X: Any, *, missing: str = "error") -> Series:
    """Convert and check any accepted input.

    Parameters
    ----------
    X : array-like
        One of: an array of shape (N, T, C); an array or table of shape (N, T),
        one channel; a list, tuple, object array or pandas Series of N arrays of
        shape (T_i, C) or (T_i,); a DataFrame with a MultiIndex (series, time) and
        a column for each channel. Arrays may be memory-mapped, or of Zarr, h5py or
        Dask: they are read some rows at a time. Real numbers of any dtype. The input
        is never written to.
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
    return checked(_unchecked(X), missing)


def _unchecked(X: Any) -> Series:
    if isinstance(X, pd.DataFrame):
        if isinstance(X.index, pd.MultiIndex):
            return from_multi_index(X)
        return from_array(numeric_columns(X), ids=X.index)
    if is_lazy(X):
        return from_array(LazyArray(X))
    items = as_items(X)
    if items is None:
        return from_array(as_numbers(X))
    return from_items(items, ids=X.index if isinstance(X, pd.Series) else None)


def checked(series: Series, missing: str) -> Series:
    """Refuse what cannot be used, and find the lengths that NaN padding hides."""
    if series.values.dtype.kind != "f":
        return series
    if _is_finite(series):
        return series
    lengths = series.lengths.copy()
    is_complete = True
    steps = np.arange(series.values.shape[1])
    for rows in series.blocks():
        block = series.values[rows]
        padding = steps >= series.lengths[rows, None]
        unobserved = np.isnan(block)
        _refuse_infinities(block, rows.start)
        unobserved[padding] = False
        if not unobserved.any():
            continue
        if missing == "error":
            _refuse_nan(unobserved, rows.start)
        lengths[rows] = _observed_lengths(np.isnan(block), rows.start)
        inside = steps < lengths[rows, None]
        is_complete &= not bool(unobserved[inside].any())
    return replace(series, lengths=lengths, is_complete=is_complete)


def _is_finite(series: Series) -> bool:
    """Tell at once that nothing is to be refused or looked for; False is no answer.

    A finite sum has neither NaN nor an infinity in it, and takes a look at each value only.
    """
    values = series.values
    if isinstance(values, LazyArray):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(np.add.reduce(values, axis=None))


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
