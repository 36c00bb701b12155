"""Arrays of real numbers from anything array-like; what is not a number is an error, never cast."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib import import_module
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.tensors import is_tensor, tensor_as_array

__all__ = [
    "LARGEST_INTEGER",
    "as_numbers",
    "frame_as_numbers",
    "frame_from_arrow",
    "frame_from_library",
    "infer_exactly",
    "is_frame",
]

LARGEST_INTEGER = 2**53
"""float64 holds every integer up to this one, and of those beyond only some."""


def as_numbers(X: Any) -> NDArray[Any]:
    """Return `X` as an array of real numbers, without a copy if it already is one.

    float16 becomes float32, and extended precision becomes float64.

    Raises
    ------
    InputError
        If `X` is ragged or complex, or has integers that float64 does not hold.
    InputTypeError
        If `X` is sparse or masked, or does not hold numbers.
    """
    if is_frame(X):
        return frame_as_numbers(X if isinstance(X, pd.DataFrame) else frame_from_library(X))
    array = _as_array(X)
    if array.dtype == np.float64 and not _holds_floats(X) and _is_beyond(array):
        # NumPy rounds integers beside floats or missing values, and those on both sides of 2**63.
        array = np.asarray(_as_objects(X), dtype=object)
    if array.dtype == object:
        return _convert_objects(array)
    if array.dtype.kind == "c":
        raise InputError(
            f"Complex data not supported: X has dtype {array.dtype}. Pass X.real and X.imag as "
            "separate channels."
        )
    if array.dtype.names is not None:
        raise InputTypeError(
            f"X has dtype {array.dtype}; series hold real numbers. Convert it first, with "
            "numpy.lib.recfunctions.structured_to_unstructured(X)."
        )
    if array.dtype.kind not in "fiub":
        raise InputTypeError(
            f"X has dtype {array.dtype}; series hold real numbers. Convert it first, "
            "for example with X.astype(float)."
        )
    _check_integers(array)
    if array.dtype.itemsize == 2 and array.dtype.kind == "f":
        return array.astype(np.float32)
    return _as_doubles(array) if array.dtype.itemsize > 8 else array


def _as_array(X: Any) -> NDArray[Any]:
    """Return `X` as an array of any dtype."""
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
        return tensor_as_array(X) if is_tensor(X) else np.asarray(X)
    except (InputError, MemoryError):
        raise
    except ValueError as error:
        raise InputError(
            f"X is not a regular array ({error}). Pass series of unequal length as a list of "
            "(n_timesteps, n_channels) arrays."
        ) from error
    except Exception as error:
        # An array-like of any library may raise anything.
        raise InputTypeError(
            f"X has type {type(X).__name__} and cannot be converted to an array "
            f"({type(error).__name__}: {error}). Pass a NumPy array, or a list of arrays."
        ) from error


def _holds_floats(X: Any) -> bool:
    """Return whether `X` holds nothing but floats, by its own dtype."""
    return is_tensor(X) or getattr(getattr(X, "dtype", None), "kind", "O") == "f"


def _as_objects(X: Any) -> Any:
    """Return elements as Python's objects, where libraries convert them to floats otherwise."""
    for name in ("to_pylist", "to_list"):
        if hasattr(X, name):
            return getattr(X, name)()
    return X


def _check_integers(array: NDArray[Any]) -> None:
    """Check that float64, in which series are scaled, holds integers exactly."""
    if array.dtype.kind not in "iu" or not _is_any_rounded(array):
        return
    position = int(np.argmax(_is_rounded(array)))
    element = f"the integer {array.reshape(-1)[position]}"
    raise InputError(
        f"{_holds(array, position, None, element)}, which float64 does not hold exactly. "
        "Subtract an offset from the series, or pass X.astype(float) to have it rounded."
    )


def _is_beyond(array: NDArray[np.float64]) -> bool:
    """Return whether floats may stand for other integers; 2**53 also stands for the next one."""
    return bool((np.abs(array) >= LARGEST_INTEGER).any())


def _is_any_rounded(array: NDArray[Any]) -> bool:
    """Return whether float64 does not hold all of some integers."""
    if array.dtype.itemsize < 8 or not array.size:
        return False
    if max(-int(array.min()), int(array.max())) <= LARGEST_INTEGER:
        return False
    return bool(_is_rounded(array).any())


def _is_rounded(array: NDArray[Any]) -> NDArray[np.bool_]:
    # float64 holds those that are a power of two times an integer of at most 53 bits.
    with np.errstate(all="ignore"):
        magnitude = np.abs(array).astype(np.uint64)
        lowest_bit = np.maximum(magnitude & (~magnitude + np.uint64(1)), np.uint64(1))
    is_rounded: NDArray[np.bool_] = magnitude // lowest_bit > LARGEST_INTEGER
    return is_rounded


def _as_doubles(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return numbers of extended precision as float64."""
    with np.errstate(all="ignore"):
        doubles = array.astype(np.float64)
    is_too_large = np.isinf(doubles) & np.isfinite(array)
    if is_too_large.any():
        position = int(np.argmax(is_too_large))
        element = f"the number {array.reshape(-1)[position]!s}"
        raise InputError(
            f"{_holds(array, position, None, element)}, which is too large for float64. Change its "
            "unit, or clip it."
        )
    return doubles


# Frames


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
    dtypes = set(frame.dtypes)
    has_extension = any(map(pd.api.types.is_extension_array_dtype, dtypes))
    # A frame of one dtype is not copied.
    if len(dtypes) == 1 and getattr(dtypes.pop(), "kind", "O") in "fiubc" and not has_extension:
        with suppress(InputError):  # It is raised below, with the name of the column.
            return as_numbers(frame.to_numpy())
    columns = [_column_as_numbers(name, column) for name, column in frame.items()]
    if not columns:
        return np.empty(frame.shape, dtype=np.float64)
    return np.column_stack(columns)


def _column_as_numbers(name: Any, column: pd.Series[Any]) -> NDArray[Any]:
    if column.dtype.kind == "O":  # Those of decimals, too.
        return _convert_objects(column.to_numpy(object)[:, None], [name])[:, 0]
    try:
        if isinstance(column.dtype, np.dtype):
            return as_numbers(column.to_numpy())
        if column.dtype.kind in "iu":
            _check_integers(np.asarray(column.dropna().array, dtype=column.dtype.kind + "8"))
        if column.dtype.kind == "c":
            return as_numbers(np.asarray(column.array))
        return column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        kind = InputTypeError if isinstance(error, TypeError) else InputError
        raise kind(f"column {name!r}: {error}") from error


def infer_exactly(elements: NDArray[np.object_]) -> pd.Series[Any]:
    """Return elements as a column of the dtype that they share, if it holds their integers."""
    column = pd.Series(elements, dtype=object)
    inferred = column.infer_objects()
    is_rounded = inferred.dtype == np.float64 and _is_beyond(inferred.to_numpy())
    return column if is_rounded else inferred


def is_frame(X: Any) -> bool:
    """Return whether `X` is a data frame of any library that shares its columns with others."""
    has_protocol = hasattr(X, "__dataframe__") or hasattr(X, "__arrow_c_stream__")
    return isinstance(X, pd.DataFrame) or (has_protocol and hasattr(X, "columns"))


def frame_from_library(frame: Any, keys: Sequence[str | None] = ()) -> pd.DataFrame:
    """Return a data frame of another library as one of pandas, as `frame_from_arrow` does."""
    try:
        arrow = import_module("pyarrow") if hasattr(frame, "__arrow_c_stream__") else None
    except ImportError:
        arrow = None
    if arrow is None and hasattr(frame, "iter_columns"):  # Polars, without pyarrow.
        columns = {one.name: np.array(one.to_list(), dtype=object) for one in frame.iter_columns()}
        return pd.DataFrame({name: infer_exactly(one) for name, one in columns.items()})
    if arrow is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # It is deprecated, and all that some libraries have.
            table: pd.DataFrame = pd.api.interchange.from_dataframe(frame)
        return table
    return frame_from_arrow(arrow.table(frame), keys)


def frame_from_arrow(table: Any, keys: Sequence[str | None] = ()) -> pd.DataFrame:
    """Return a table of Arrow as a frame, in which integers stay exact where others are missing.

    pandas would make them float64, which does not hold all of them. In the columns that hold ids,
    time points and labels, every integer remains one.
    """
    frame: pd.DataFrame = table.to_pandas()
    for name, column in zip(table.column_names, table.columns, strict=True):
        place = int(frame.columns.get_indexer_for(pd.Index([name]))[0])
        leaves = _leaves(column)
        if place < 0 or leaves.type.id not in _integer_types() or not leaves.null_count:
            continue
        is_key = leaves is column and name in keys
        if is_key or _is_any_rounded(leaves.drop_null().to_numpy()):
            values = pd.Series(column.to_pylist(), index=frame.index, dtype=object)
            frame.isetitem(place, values.where(values.notna(), np.nan).array)
    return frame


def _leaves(column: Any) -> Any:
    """Return the elements of a column of lists, or the column itself."""
    arrow = import_module("pyarrow.compute")
    while column.type.num_fields == 1 and hasattr(column.type, "value_type"):
        column = arrow.list_flatten(column)
    return column


@cache
def _integer_types() -> set[int]:
    arrow = import_module("pyarrow")
    kinds = (f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
    return {getattr(arrow, kind)().id for kind in kinds}


# Objects


def _convert_objects(array: NDArray[Any], columns: list[Any] | None = None) -> NDArray[np.float64]:
    """Convert an object array in which every element is a number or a missing value."""
    numbers = np.empty(array.shape, dtype=np.float64)
    flat = numbers.reshape(-1)
    for position, value in enumerate(array.flat):
        # Almost all elements are such numbers, and for them it takes a tenth of the time.
        is_small = type(value) is int and -LARGEST_INTEGER <= value <= LARGEST_INTEGER
        if is_small or type(value) is float:
            flat[position] = value
            continue
        try:
            flat[position] = _as_float(value)
        except Exception as error:
            raise _not_a_number(array, position, columns, value, error) from error
    return numbers


def _as_float(value: Any) -> float:
    """Return a number as float64, and NaN for a missing value."""
    if value is None or value is pd.NA or value is pd.NaT or value is np.ma.masked:
        return np.nan
    if isinstance(value, (str, bytes, complex, np.complexfloating)) or np.shape(value) != ():
        raise TypeError("it is no real number")
    if isinstance(value, (np.datetime64, np.timedelta64)):
        if np.isnat(value):
            return np.nan
        raise TypeError("times have a unit")
    if isinstance(value, Decimal):
        # A signalling NaN is no number either, but cannot be converted.
        number = np.nan if value.is_nan() else float(value)
        is_too_large = np.isinf(number) and not value.is_infinite()
    else:
        number = float(value.detach() if is_tensor(value) else value)
        is_too_large = isinstance(value, np.floating) and np.isinf(number) and np.isfinite(value)
    if is_too_large:
        raise OverflowError("it is too large for float64")
    if abs(number) >= LARGEST_INTEGER and isinstance(value, (Integral, Decimal, Fraction)):
        is_whole = value == int(value)
        if is_whole and int(value) != int(number):
            raise OverflowError("float64 does not hold it exactly")
    return number


def _not_a_number(
    array: NDArray[Any], position: int, columns: list[Any] | None, value: Any, error: Exception
) -> InputError:
    """Return the error for an element that is not a number, and where it lies."""

    def found(element: str) -> str:
        return _holds(array, position, columns, element)

    if isinstance(value, (str, bytes)):
        return InputTypeError(
            f"{found(f'the text {value!r}')}; series hold real numbers. Convert it to a number, or "
            "to NaN."
        )
    if isinstance(value, (complex, np.complexfloating)):
        return InputError(
            f"Complex data not supported: {found(f'the number {value}')}. Pass the real and "
            "imaginary parts as separate channels."
        )
    element = f"a value of type {type(value).__name__}"
    if isinstance(value, (pd.Series, np.ndarray, list, tuple)):
        return InputError(
            f"{found(element)}, which is not a number. Pass a list with one (n_timesteps, "
            "n_channels) array per series, or a table whose cells are all of them series."
        )
    if isinstance(error, OverflowError):
        return InputError(
            f"{found(element)} that cannot be converted to float64: {error}. Change its unit, or "
            "subtract an offset."
        )
    way_out = "to a number, or to NaN"
    if array.ndim == 0:
        way_out = "to an array or a list of arrays, for example with list(X)"
    # Python's own error is part of the message, as scikit-learn's estimator checks expect it.
    kind = InputError if isinstance(error, ValueError) else InputTypeError
    return kind(f"{found(element)}, which is not a number ({error}). Convert it {way_out}.")


def _holds(array: NDArray[Any], position: int, columns: list[Any] | None, element: str) -> str:
    """Say where an element lies: ``"X holds <element> at index (0, 1)"``."""
    if array.ndim == 0:
        return f"X is {element}"
    index = tuple(int(place) for place in np.unravel_index(position, array.shape))
    if columns is not None:
        return f"column {columns[index[1]]!r} holds {element} in row {index[0]}"
    return f"X holds {element} at index {index}"
