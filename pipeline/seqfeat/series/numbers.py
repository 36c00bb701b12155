"""Arrays of real numbers, or an error: nothing is cast that was not a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError

__all__ = ["as_numbers", "numeric_columns"]

COMPLEX = "Complex data not supported. Pass the real and imaginary parts as channels."


def as_numbers(X: Any) -> NDArray[Any]:
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


def numeric_columns(frame: pd.DataFrame) -> NDArray[Any]:
    """Return a frame's columns as an array, NaN where a value is missing.

    Raises `InputTypeError`, naming the columns, if some hold no numbers.
    """
    for name, column in frame.items():
        dtype = column.dtype
        # Objects are looked at one by one, as they may be numbers.
        if dtype != np.dtype(object) and not pd.api.types.is_numeric_dtype(dtype):
            raise InputTypeError(
                f"column {name!r} has dtype {dtype}; series hold real numbers. Take the "
                "column out, or convert it to numbers."
            )
    if any(pd.api.types.is_extension_array_dtype(dtype) for dtype in frame.dtypes):
        return frame.to_numpy(np.float64, na_value=np.nan)
    return as_numbers(frame)


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
        if isinstance(value, (pd.Series, np.ndarray, list, tuple)):
            raise InputError(
                f"X holds a {type(value).__name__} at flat position {position}, which is no "
                "number. Pass a list with one (n_timesteps, n_channels) array for each series; "
                "nested frames of sktime through sktime.datatypes.convert_to(X, 'pd-multiindex')."
            )
    try:
        # pandas' own sign for a missing value is no number; NaN is.
        return np.where(pd.isna(array), np.nan, array).astype(np.float64)
    except TypeError as error:
        # NumPy's own words, which name the type that was found.
        raise InputTypeError(f"X holds something that is no number: {error}") from error
    except ValueError as error:
        raise InputError(f"X holds something that is no number: {error}") from error
