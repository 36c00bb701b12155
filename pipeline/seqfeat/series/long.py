"""Long tables: one row for each series and time, one column for each channel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.arrays import padded
from seqfeat.series.numbers import numeric_columns
from seqfeat.series.series import FrameRows, Series, series_of_arrays
from seqfeat.series.time_grid import Step, refuse_sparse, steps_in_order, steps_of_times

__all__ = ["LabelledSeries", "from_long", "from_multi_index", "refuse_unknown"]

Ints = NDArray[np.int64]


class LabelledSeries(NamedTuple):
    """Series, and their labels or None; unpacks as ``X, y``."""

    X: Any
    y: Any


def from_long(
    frame: Any,
    series_id: str,
    time: str | None,
    channels: str | list[str] | None = None,
    label: str | None = None,
    *,
    step: Step = "auto",
) -> LabelledSeries:
    """Read a long table: one row for each series and time.

    Parameters
    ----------
    frame : DataFrame
        Of pandas, or of another library that pandas reads by the dataframe
        interchange or Arrow, such as Polars. Rows may come in any order. Levels
        of the index count as columns.
    series_id : str
        The column that tells which series a row belongs to.
    time : str or None
        The column that orders the rows of a series: numbers, dates, durations or
        periods. None takes the rows in the order they come in.
    channels : str or list of str, default=None
        The columns with the values. None takes all that have no other part.
    label : str, default=None
        A column with the series' label, the same in all rows of a series.
    step : "auto", float, str, Timedelta or None, default="auto"
        The time from one timestep to the next. ``"auto"`` is the shortest gap
        between two rows, if all gaps are whole multiples of it; time points
        without a row become missing values. A number or a duration such as
        ``"15min"`` puts each row on the nearest point of a grid that begins at its
        series' first time point, and averages rows that meet. None takes the
        rows, in order of time, as timesteps, whatever time lies between them.

    Returns
    -------
    X : pandas Series of length n_samples
        An array of shape (n_timesteps_i, n_channels) for each series, in order
        of first appearance. The index holds the ids; it becomes that of the
        output with ``set_output(transform="pandas")``.
    y : pandas Series of length n_samples, or None
        The labels, with the same index.

    Raises
    ------
    InputError
        If a column is missing, an id or a time point is NaN, a time point occurs
        twice, the labels of a series differ, or ``step="auto"`` finds no step.
    InputTypeError
        If a channel does not hold numbers.

    Notes
    -----
    Memory is that of the table and of the result. If there are missing values,
    pass ``missing="mask"`` to the estimator.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqfeat.series import from_long
    >>> frame = pd.DataFrame({
    ...     "patient": ["b", "a", "a", "b", "a"],
    ...     "hour": [1, 2, 1, 0, 4],
    ...     "pulse": [71, 80, 82, 70, 85],
    ...     "outcome": ["well", "ill", "ill", "well", "ill"],
    ... })
    >>> X, y = from_long(frame, "patient", "hour", channels="pulse", label="outcome")
    >>> X["a"].ravel()
    array([82., 80., nan, 85.])
    >>> y.to_dict()
    {'b': 'well', 'a': 'ill'}
    """
    frame = _with_columns(frame)
    channels = _channel_names(frame, channels, [series_id, time, label])
    refuse_unknown(frame, [series_id, time, label, *channels])
    codes, ids = _codes(frame[series_id])
    by_order = time is None
    steps = steps_in_order(codes) if by_order else steps_of_times(codes, frame[time], ids, step)
    arrays = _arrays(_values(frame, channels), codes, steps, ids)
    labels = None if label is None else _labels(frame[label], codes, ids)
    return LabelledSeries(series_of_arrays(arrays, ids), labels)


def from_multi_index(frame: pd.DataFrame) -> Series:
    """Return a frame whose index holds series and time as `Series`, unchecked."""
    if frame.index.nlevels != 2:
        raise InputError(
            f"X has an index of {frame.index.nlevels} levels, {list(frame.index.names)}; seqfeat "
            "reads two, the series and the time. Join the first ones into one."
        )
    if 0 in frame.shape:
        n_rows, n_columns = frame.shape
        raise InputError(
            f"X is a frame of {n_rows} rows and {n_columns} columns; it needs at least 1 of each."
        )
    index: pd.MultiIndex = frame.index  # type: ignore[assignment]
    codes, ids = _codes(pd.Series(index.get_level_values(0)))
    steps = steps_of_times(codes, pd.Series(index.get_level_values(1)), ids, "auto")
    arrays = _arrays(numeric_columns(frame), codes, steps, ids)
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    rows = FrameRows(index, frame.columns, codes, steps)
    return Series(padded(arrays, lengths), lengths, form="frame", ids=ids, frame_rows=rows)


def _with_columns(frame: Any) -> pd.DataFrame:
    """Return any data frame as one of pandas, the levels of its index as columns."""
    if not isinstance(frame, pd.DataFrame):
        if not (hasattr(frame, "__dataframe__") or hasattr(frame, "__arrow_c_stream__")):
            raise InputTypeError(
                f"frame is a {type(frame).__name__}; from_long reads data frames. Arrays and lists "
                "need no conversion: pass them to the estimator."
            )
        frame = pd.api.interchange.from_dataframe(frame)
    table: pd.DataFrame = frame
    named = [name for name in table.index.names if name is not None]
    return table.reset_index(level=named) if named else table


def _channel_names(
    frame: pd.DataFrame, channels: str | list[str] | None, others: list[str | None]
) -> list[str]:
    if isinstance(channels, str):
        return [channels]
    names = [name for name in frame.columns if name not in others] if channels is None else channels
    if not len(names):
        raise InputError(
            "no column is left to be a channel; pass channels=[...] with at least 1 column."
        )
    return list(names)


def _values(frame: pd.DataFrame, channels: list[str]) -> NDArray[Any]:
    try:
        return numeric_columns(frame[channels])
    except InputTypeError as error:
        raise InputTypeError(
            f"{error} If it holds labels, pass label=...; else name the channels: channels=[...]."
        ) from error


def refuse_unknown(frame: pd.DataFrame, names: list[str | None]) -> None:
    """Refuse names that no column has, or more than one."""
    for name in names:
        if name is not None and name not in frame.columns:
            raise InputError(
                f"there is no column {name!r}; the table has {list(map(str, frame.columns))}."
            )
        if name is not None and list(frame.columns).count(name) > 1:
            raise InputError(f"more than one column is called {name!r}; rename them.")


def _codes(series_ids: pd.Series[Any]) -> tuple[Ints, pd.Index[Any]]:
    """Return which series each row belongs to, numbered in order of appearance."""
    if len(series_ids) == 0:
        raise InputError("the table has 0 rows; at least 1 series with 1 row is required.")
    codes, ids = pd.factorize(series_ids)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise InputError(
            f"row {row} has no series ({series_ids.name} is {series_ids.iloc[row]}). Drop the "
            "row, or fill it."
        )
    return codes.astype(np.int64), pd.Index(ids, name=series_ids.name)


def _arrays(
    values: NDArray[Any], codes: Ints, steps: Ints, ids: pd.Index[Any]
) -> list[NDArray[Any]]:
    """Return one (n_timesteps, n_channels) array for each series, NaN where no row lies."""
    lengths = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(lengths, codes, steps + 1)
    refuse_sparse(lengths, len(values), ids)
    ends = np.cumsum(lengths)
    places = (ends - lengths)[codes] + steps
    dense = _placed(values, places, int(ends[-1]))
    return np.split(dense, ends[:-1])


def _placed(values: NDArray[Any], places: Ints, n_places: int) -> NDArray[Any]:
    """Return rows in their places: NaN where there is none, the mean where there are several."""
    counts = np.bincount(places, minlength=n_places)
    if counts.max() == 1:
        dtype = np.result_type(values, np.float32) if counts.min() == 0 else values.dtype
        dense = np.full((n_places, values.shape[1]), np.nan if counts.min() == 0 else 0, dtype)
        dense[places] = values
        return dense
    means = pd.DataFrame(values).groupby(places).mean()
    return means.reindex(range(n_places)).to_numpy()


def _labels(labels: pd.Series[Any], codes: Ints, ids: pd.Index[Any]) -> pd.Series[Any]:
    """Return one label for each series, refusing series that have several."""
    first_rows = np.unique(codes, return_index=True)[1]
    label_codes = pd.factorize(labels)[0]
    differs = label_codes != label_codes[first_rows][codes]
    if differs.any():
        row = int(np.argmax(differs))
        first = labels.iloc[first_rows[codes[row]]]
        raise InputError(
            f"series {ids[codes[row]]} has the labels {first} and {labels.iloc[row]} in "
            f"column {labels.name!r}; a series has one label. Split the series, or pass label=None."
        )
    return labels.iloc[first_rows].set_axis(ids)
