"""Arrays of real numbers from anything array-like; what is not a number is an error, never cast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError

__all__ = ["as_numbers", "frame_as_numbers"]


def as_numbers(X: Any) -> NDArray[Any]:
    """Return `X` as an array of real numbers, without a copy if it already is one.

    float16 becomes float32, and extended precision becomes float64.

    Raises
    ------
    InputError
        If `X` is ragged or complex.
    InputTypeError
        If `X` is sparse or masked, or does not hold numbers.
    """
    if hasattr(X, "tocsr"):
        raise InputTypeError(
            "Sparse data was passed, but dense data is required. Use X.toarray() to convert to a "
            "dense array."
        )
    if isinstance(X, np.ma.MaskedArray):
        raise InputTypeError(
            "X is a masked array, and NumPy would drop its mask. Pass "
            "X.astype(float).filled(np.nan) with missing='mask'."
        )
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise InputError(
            f"X is not a regular array ({error}). Pass series of unequal length as a list of "
            "(n_timesteps, n_channels) arrays."
        ) from error
    if array.dtype == object:
        return _convert_objects(array)
    if array.dtype.kind == "c":
        raise InputError(
            f"Complex data not supported: X has dtype {array.dtype}. Pass X.real and X.imag as "
            "separate channels."
        )
    if array.dtype.kind not in "fiub":
        raise InputTypeError(
            f"X has dtype {array.dtype}; series hold real numbers. Convert it first, "
            "for example with X.astype(float)."
        )
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array.astype(np.float64) if array.dtype.itemsize > 8 else array


def frame_as_numbers(frame: pd.DataFrame) -> NDArray[Any]:
    """Return the columns of a frame as one array, with NaN for missing values.

    Raises `InputTypeError`, naming the column, if a column does not hold numbers.
    """
    for name, column in frame.items():
        dtype = column.dtype
        # The elements of object columns may be numbers, and are checked one by one.
        if dtype != np.dtype(object) and not pd.api.types.is_numeric_dtype(dtype):
            raise InputTypeError(
                f"column {name!r} has dtype {dtype}; series hold real numbers. Drop the column, "
                "or convert it to numbers."
            )
    if any(pd.api.types.is_extension_array_dtype(dtype) for dtype in frame.dtypes):
        return frame.to_numpy(np.float64, na_value=np.nan)
    array = frame.to_numpy()
    if array.dtype == object:
        return _convert_objects(array, list(frame.columns))
    return as_numbers(array)


def _convert_objects(array: NDArray[Any], columns: list[Any] | None = None) -> NDArray[np.float64]:
    """Convert an object array in which every element is a number or a missing value."""
    for position, value in enumerate(array.flat):
        if isinstance(value, (str, bytes)):
            raise InputTypeError(
                f"{_holds(array, position, columns, f'the text {value!r}')}; series hold real "
                "numbers. Convert it to a number, or to NaN."
            )
        if isinstance(value, (complex, np.complexfloating)):
            raise InputError(
                "Complex data not supported: "
                f"{_holds(array, position, columns, f'the number {value}')}. Pass the real and "
                "imaginary parts as separate channels."
            )
        if isinstance(value, (pd.Series, np.ndarray, list, tuple)):
            found = f"a value of type {type(value).__name__}"
            raise InputError(
                f"{_holds(array, position, columns, found)}, which is not a number. Pass a list "
                "with one (n_timesteps, n_channels) array per series; convert sktime's nested "
                "frames with sktime.datatypes.convert_to(X, 'pd-multiindex')."
            )
    try:
        # pandas.NA cannot be cast to a number, NaN can.
        return np.where(pd.isna(array), np.nan, array).astype(np.float64)
    except (TypeError, ValueError) as error:
        position = _first_non_number(array)
        found = f"a value of type {type(array.flat[position]).__name__}"
        # NumPy's own error is part of the message, as scikit-learn's estimator checks expect it.
        error_type = InputTypeError if isinstance(error, TypeError) else InputError
        raise error_type(
            f"{_holds(array, position, columns, found)}, which is not a number ({error}). Convert "
            "it to a number, or to NaN."
        ) from error


def _holds(array: NDArray[Any], position: int, columns: list[Any] | None, element: str) -> str:
    """Say where an element lies: ``"X holds <element> at index (0, 1)"``."""
    if array.ndim == 0:
        return f"X is {element}"
    index = tuple(int(place) for place in np.unravel_index(position, array.shape))
    if columns is not None:
        return f"column {columns[index[1]]!r} holds {element} in row {index[0]}"
    return f"X holds {element} at index {index}"


def _first_non_number(array: NDArray[Any]) -> int:
    """Return the flat position of the first element that cannot be cast to float."""
    elements = array.reshape(-1)
    for position in range(len(elements)):
        element = elements[position : position + 1]
        try:
            np.where(pd.isna(element), np.nan, element).astype(np.float64)
        except (TypeError, ValueError):
            return position
    raise AssertionError("every element is a number")
