"""Tables with one row per series, whose cells hold series: lists, arrays, or pandas Series.

That is how sktime's nested frames and list columns of Polars and Parquet look. Each column is a
channel; where cells have two axes, (n_timesteps, n_channels), several are. A column with the time
points of each series makes such a table a long one, of which `unnest` returns the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_list_like

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.columns import index_columns
from seqfeat.series.numbers import as_numbers, infer_exactly

__all__ = ["from_nested", "is_nested", "unnest"]


def is_nested(frame: pd.DataFrame) -> bool:
    """Return whether cells of a frame hold series."""
    # A wide table may have thousands of columns.
    places = [place for place, dtype in enumerate(frame.dtypes) if dtype.kind == "O"]
    return any(_holds_lists(frame.iloc[:, place]) for place in places)


def from_nested(frame: pd.DataFrame) -> list[NDArray[Any]]:
    """Return one array of shape (n_timesteps, n_channels) per row.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqfeat.series.nested import from_nested
    >>> [array.tolist() for array in from_nested(pd.DataFrame({"u": [[1, 2]], "v": [[3, 4]]}))]
    [[[1, 3], [2, 4]]]
    """
    _check_all_nested(frame, list(frame.columns))
    columns = [frame.iloc[:, place].tolist() for place in range(frame.shape[1])]
    return [
        _join_channels(frame, row, cells) for row, cells in enumerate(zip(*columns, strict=True))
    ]


def unnest(
    frame: pd.DataFrame,
    series_id: str | None,
    time: str | None,
    channels: str | list[str] | None = None,
    label: str | None = None,
) -> pd.DataFrame:
    """Return a nested table as a long one, with a row per element of its lists; others unchanged.

    Raises `InputError` if the cells of a row differ in length, or are missing, and
    `InputTypeError` if only some of the columns hold series.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqfeat.series.nested import unnest
    >>> unnest(pd.DataFrame({"id": ["a"], "t": [[0, 1]], "v": [[5.0, 6.0]]}), "id", "t")
      id  t    v
    0  a  0  5.0
    1  a  1  6.0
    """
    keys = [name for name in (series_id, label) if name is not None and name in frame.columns]
    stay = [*keys, *index_columns(frame, [series_id, label, time])]
    if channels is None:
        names = [name for name in frame.columns if name not in stay]
    else:
        named = list(channels) if is_list_like(channels) else [channels]
        names = [name for name in [time, *named] if name is not None and name in frame.columns]
    names = list(dict.fromkeys(names))
    if not frame.columns.is_unique or not names or not is_nested(frame[names]):
        return frame
    _check_all_nested(frame, names)
    lengths = _lengths(frame, names, keys)
    rows = np.repeat(np.arange(len(frame)), lengths)
    long = {name: frame[name].array[rows] for name in frame.columns if name in stay}
    long |= {name: _concatenate(frame[name]) for name in names}
    return pd.DataFrame({name: long[name] for name in frame.columns if name in long})


def _holds_lists(column: pd.Series[Any]) -> bool:
    """Return whether the first cell of a column that is not missing holds several values."""
    is_missing = column.isna().to_numpy()
    return not is_missing.all() and _is_series(column.iloc[int(np.argmin(is_missing))])


def _is_series(cell: Any) -> bool:
    return is_list_like(cell, allow_sets=False) and not isinstance(cell, dict)


def _check_all_nested(frame: pd.DataFrame, names: list[Any]) -> None:
    held = [is_nested(frame[[name]]) for name in names]
    if all(held):
        return
    other, nested = names[held.index(False)], names[held.index(True)]
    raise InputTypeError(
        f"column {other!r} holds one value in each row, but column {nested!r} holds a list of "
        f"values. If {other!r} holds ids or labels, pass series_id=... or label=...; otherwise "
        "drop it, or name the channels: channels=[...]."
    )


def _lengths(frame: pd.DataFrame, names: list[Any], keys: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of timesteps of each row, after checking that its cells agree."""
    lengths = np.empty((len(frame), len(names)), dtype=np.int64)
    for place, name in enumerate(names):
        for row, cell in enumerate(frame[name]):
            if not _is_series(cell) or not len(cell):
                raise _no_series(frame, row, name, cell, keys)
            lengths[row, place] = len(cell)
    differs = (lengths != lengths[:, :1]).any(axis=1)
    if differs.any():
        row = int(np.argmax(differs))
        raise _unequal(frame, row, names, lengths[row].tolist(), keys)
    return lengths[:, 0]


def _join_channels(frame: pd.DataFrame, row: int, cells: Sequence[Any]) -> NDArray[Any]:
    """Return the cells of one row as one array."""
    arrays = []
    for name, cell in zip(frame.columns, cells, strict=True):
        if not _is_series(cell) or not len(cell):
            raise _no_series(frame, row, name, cell)
        array = _cell_as_array(frame, row, name, cell)
        arrays.append(array[:, None] if array.ndim == 1 else array)
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise _unequal(frame, row, list(frame.columns), lengths)
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1)


def _cell_as_array(frame: pd.DataFrame, row: int, name: Any, cell: Any) -> NDArray[Any]:
    try:
        # An array of arrays is how pandas shows lists of lists.
        is_array_of_arrays = isinstance(cell, np.ndarray) and cell.dtype == object
        array = as_numbers([*cell] if is_array_of_arrays else cell)
    except (TypeError, ValueError) as error:
        kind = InputTypeError if isinstance(error, TypeError) else InputError
        where = f"series {_series_name(frame, row)}, column {name!r}"
        raise kind(f"{where}: {error}") from error
    if array.ndim > 2 or 0 in array.shape:
        raise InputError(
            f"series {_series_name(frame, row)}, column {name!r} holds an array of shape "
            f"{array.shape}; each cell must hold the values of one "
            "channel, or have shape (n_timesteps, n_channels). Reshape it."
        )
    return array


def _series_name(frame: pd.DataFrame, row: int, keys: Sequence[str] = ()) -> Any:
    return frame[keys[0]].iloc[row] if keys else frame.index[row]


def _no_series(
    frame: pd.DataFrame, row: int, name: Any, cell: Any, keys: Sequence[str] = ()
) -> InputError:
    shown = "an empty list" if _is_series(cell) else f"{cell!r:.60}"
    return InputError(
        f"series {_series_name(frame, row, keys)} has {shown} in column {name!r}; every "
        "cell of a nested table holds the values of one series, at least 1. Drop the row, or pass "
        "its values."
    )


def _unequal(
    frame: pd.DataFrame, row: int, names: list[Any], lengths: list[int], keys: Sequence[str] = ()
) -> InputError:
    other = next(place for place, length in enumerate(lengths) if length != lengths[0])
    return InputError(
        f"series {_series_name(frame, row, keys)} has {lengths[0]} timesteps in column "
        f"{names[0]!r} and {lengths[other]} in column {names[other]!r}; all columns of a row must "
        "be as long. Fill in missing values with NaN, or use a long table."
    )


def _concatenate(column: pd.Series[Any]) -> Any:
    """Return the elements of all lists as one column, in which integers stay exact."""
    cells = column.tolist()
    dtypes = {cell.dtype for cell in cells if hasattr(cell, "dtype")}
    is_plain = len(dtypes) == 1 and all(isinstance(cell, np.ndarray) for cell in cells)
    if is_plain and cells[0].ndim == 1 and cells[0].dtype != object:
        return np.concatenate(cells)
    elements = np.empty(sum(map(len, cells)), dtype=object)
    for place, element in enumerate(one for cell in cells for one in cell):
        elements[place] = element
    return infer_exactly(elements)
