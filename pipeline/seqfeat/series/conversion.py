"""`as_series`: whatever the user has, recognised once and checked once.

Nothing is cast, copied or filled here: numbers keep their dtype until a block
of rows is scaled, so that a memory-mapped array is never read whole into memory
and a float64 signal on a large offset keeps its digits.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from seqfeat.exceptions import InputError
from seqfeat.series.arrays import as_items, from_array, from_items
from seqfeat.series.canonical import Series
from seqfeat.series.checks import checked
from seqfeat.series.long import from_multi_index
from seqfeat.series.numbers import as_numbers, numeric_columns
from seqfeat.series.stored import StoredArray, is_stored

__all__ = ["as_series"]


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
    if is_stored(X):
        return from_array(StoredArray(X))
    items = as_items(X)
    if items is None:
        return from_array(as_numbers(X))
    return from_items(items, ids=X.index if isinstance(X, pd.Series) else None)
