"""Long tables: one row per series and timestep, one column per channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.runtime.float_errors import without_float_errors
from seqfeat.series.arrays import pad
from seqfeat.series.columns import channel_columns, check_columns, show_columns
from seqfeat.series.nested import unnest
from seqfeat.series.numbers import frame_as_numbers, frame_from_library
from seqfeat.series.series import FrameRows, Series, to_pandas_series
from seqfeat.series.time_grid import (
    ScannedStep,
    Step,
    check_density,
    is_auto,
    steps_and_gaps,
    steps_by_order,
    steps_by_time,
)

__all__ = [
    "ELAPSED",
    "NO_ROWS",
    "SERIES",
    "TIME",
    "LabelledSeries",
    "LongLayout",
    "as_pandas",
    "channel_values",
    "from_long",
    "from_multi_index",
    "long_layout",
    "series_codes",
    "split_by_series",
]

ELAPSED = "elapsed"
"""Name of the channel with the time since the row before."""
SERIES, TIME = "series", "time"
"""Column names for the index levels of a frame that is indexed by series and time."""
NO_ROWS = "the table has 0 rows; at least 1 series with 1 row is required."

Ints = NDArray[np.int64]


class LabelledSeries(NamedTuple):
    """Series and their labels, or None if there are none; unpacks as ``X, y``."""

    X: Any
    y: Any


@without_float_errors
def from_long(
    frame: Any,
    series_id: str,
    time: str | None,
    channels: str | list[str] | None = None,
    label: str | None = None,
    *,
    step: Step = "auto",
    time_format: str | None = None,
    elapsed: bool = False,
) -> LabelledSeries:
    """Convert a long table, with one row per series and timestep.

    Parameters
    ----------
    frame : DataFrame
        A pandas DataFrame, or one of another library, such as Polars, that
        supports the dataframe interchange protocol or Arrow. Rows may be in any
        order. Named index levels count as columns. There may be one row per series
        instead, whose cells hold lists: of time points in the column `time`, and of
        values in the channels.
    series_id : str
        The column that identifies the series of each row.
    time : str or None
        The column that orders the rows of a series: numbers, dates, durations or
        periods, also as text or objects. Whole numbers that can all be dates, such
        as 20240229 or 202402, are dates. Dates with different offsets are compared
        in UTC. None keeps the rows in the order of the table.
    channels : str or list of str, default=None
        The columns that hold the values. None uses all columns without another
        role.
    label : str, default=None
        The column with the labels; all rows of a series must have the same one.
    step : "auto", float, str, Timedelta or None, default="auto"
        The time from one timestep to the next. ``"auto"`` is the shortest gap
        between two rows, provided that all gaps are whole multiples of it; time
        points without a row become missing values. If there is a row for each day
        on the local clock, days of 23 and 25 hours are one step, too. A number, or
        a duration such as ``"15min"`` if the time points are dates or durations,
        resamples: bins of this width begin at the first time point of each series,
        a time point at the border of two bins belongs to the later one, and a
        timestep is the mean of what was observed in its bin, NaN if nothing was.
        None uses the rows themselves as timesteps, ordered by time, whatever the
        time between them.
    time_format : str, default=None
        How text and whole numbers in the time column are to be read as dates, in the
        codes of `~datetime.datetime.strptime`, such as ``"%d/%m/%Y %H:%M"``. None
        reads numbers, ISO 8601, dates such as 29.02.2024, 29 Feb 2024 or 2/29/2024
        where that is certain, and durations such as 00:01:30 or 1.5s; all rows must
        have the same form.
    elapsed : bool, default=False
        Whether the time since the row before becomes the last channel, for rows at
        irregular times: seconds between dates, otherwise in the unit of the numbers,
        and 0 for the first row of a series. The rows are then the timesteps, as with
        ``step=None``.

    Returns
    -------
    X : pandas Series of length n_samples
        One array of shape (n_timesteps_i, n_channels) per series, in order of
        first appearance. The index holds the ids, and becomes the index of the
        output with ``set_output(transform="pandas")``.
    y : pandas Series of length n_samples, or None
        The labels, with the same index.

    Raises
    ------
    InputError
        If a column is missing, an id or time point is NaN, a time point is no date
        that exists or occurs twice in a series, day and month cannot be told apart,
        the labels of a series differ, or ``step="auto"`` finds no regular step; or if
        `elapsed` has no time, a step as well, or a column of its name beside it.
    InputTypeError
        If a channel does not hold numbers, or a time point cannot be read as the
        others are.

    Notes
    -----
    Memory is that of the table plus the result. If values are missing, pass
    ``missing="mask"`` to the estimator.

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
    frame = unnest(as_pandas(frame, [series_id, time, label]), series_id, time, channels, label)
    channels = channel_columns(frame, channels, [series_id, time, label])
    check_columns(frame, [series_id, time, label, *channels])
    step = step_for(step, time, channels, elapsed=elapsed)
    codes, ids = series_codes(frame[series_id])
    values = channel_values(frame, channels)
    if time is None:
        _check_no_format(time_format)
        steps = steps_by_order(codes)
    else:
        steps, gaps = steps_and_gaps(codes, frame[time], ids, step, time_format)
        if elapsed:
            values = np.column_stack([values, gaps])
    arrays = split_by_series(values, codes, steps, ids)
    labels = None if label is None else _series_labels(frame[label], codes, ids)
    return LabelledSeries(to_pandas_series(arrays, ids), labels)


def from_multi_index(frame: pd.DataFrame) -> Series:
    """Return a frame indexed by series and time as `Series`; its values are not checked."""
    if frame.index.nlevels != 2:
        raise InputError(
            f"X has an index of {frame.index.nlevels} levels, {list(frame.index.names)}; it must "
            "have 2, the series and the time. Combine the levels that identify a series into one."
        )
    if 0 in frame.shape:
        n_rows, n_columns = frame.shape
        raise InputError(
            f"X is a frame of {n_rows} rows and {n_columns} columns; it needs at least 1 row, and "
            "1 column per channel."
        )
    frame = _in_native_order(frame)
    index: pd.MultiIndex = frame.index  # type: ignore[assignment]
    codes, ids = series_codes(pd.Series(index.get_level_values(0)))
    steps = steps_by_time(codes, pd.Series(index.get_level_values(1)), ids, "auto")
    arrays = split_by_series(frame_as_numbers(frame), codes, steps, ids)
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    rows = FrameRows(index, frame.columns, codes, steps)
    return Series(pad(arrays, lengths), lengths, form="frame", ids=ids, frame_rows=rows)


# The columns of a table


@dataclass(frozen=True)
class LongLayout:
    """The roles of the columns of a long table; `is_indexed` if series and time are its index."""

    series_id: str
    time: str | None
    channels: str | list[str] | None
    label: str | None
    step: Step
    time_format: str | None = None
    is_indexed: bool = False
    elapsed: bool = False

    @property
    def keys(self) -> list[str]:
        """The columns with ids, times and labels, each of them once."""
        names = (self.series_id, self.time, self.label)
        return list(dict.fromkeys(name for name in names if name is not None))

    def flatten(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame with one row per timestep, and series and time as columns."""
        if self.is_indexed:
            return frame.rename_axis([SERIES, TIME]).reset_index()
        return unnest(frame, self.series_id, self.time, self.channels, self.label)

    def convert(self, frame: pd.DataFrame) -> LabelledSeries:
        """Return the series of a flat frame."""
        return from_long(
            frame,
            self.series_id,
            self.time,
            self.channels,
            self.label,
            step=self.step,
            time_format=self.time_format,
            elapsed=self.elapsed,
        )


def long_layout(
    frame: pd.DataFrame,
    series_id: str | None,
    time: str | None,
    channels: str | list[str] | None,
    label: str | None,
    step: Step,
    time_format: str | None = None,
    elapsed: bool = False,
) -> LongLayout | None:
    """Return the layout of a long table, or None if the table is wide, with one row per series."""
    if isinstance(frame.index, pd.MultiIndex) and frame.index.nlevels == 2:
        step = step_for(step, TIME, channels, elapsed=elapsed)
        return LongLayout(
            SERIES, TIME, channels, label, step, time_format, is_indexed=True, elapsed=elapsed
        )
    step = step_for(step, time, channels, elapsed=elapsed)
    if time is None and channels is None:
        return None
    if series_id is None:
        raise InputError(
            "a long table needs series_id, the column that identifies the series of each row; the "
            f"table has {show_columns(frame)}."
        )
    return LongLayout(series_id, time, channels, label, step, time_format, elapsed=elapsed)


def step_for(
    step: Step, time: str | None, channels: str | list[str] | None, *, elapsed: bool
) -> Step:
    """Return the step of a table, after checking that nothing else stands against `elapsed`.

    A table whose step has been scanned was checked before.
    """
    if not elapsed or isinstance(step, ScannedStep):
        return step
    if time is None:
        raise InputError(
            "elapsed=True needs the column with the time points of a long table. Name it with "
            "time=..., or leave it out."
        )
    if step is not None and not is_auto(step):
        raise InputError(
            f"elapsed=True says how much time is between the rows, and step={step!r} would put "
            "them on a grid, where that is always the same. Leave one of them out."
        )
    if channels == ELAPSED or (isinstance(channels, list) and ELAPSED in channels):
        raise InputError(
            f"the table has a column {ELAPSED!r} among the channels, which is what elapsed=True "
            "would add. Rename the column, or leave elapsed out if it already is the time since "
            "the row before."
        )
    return None


def as_pandas(frame: Any, keys: Sequence[str | None] = ()) -> pd.DataFrame:
    """Return any data frame as a pandas DataFrame, with its named index levels as columns.

    Integers among the keys, which hold ids, time points and labels, remain integers.
    """
    if not isinstance(frame, pd.DataFrame):
        if not (hasattr(frame, "__dataframe__") or hasattr(frame, "__arrow_c_stream__")):
            raise InputTypeError(
                f"frame has type {type(frame).__name__}; from_long reads data frames. Arrays and "
                "lists need no conversion: pass them to the estimator. A lazy frame has to be "
                "collected: frame.collect()."
            )
        try:
            frame = frame_from_library(frame, keys)
        except Exception as error:
            # A single column has the same protocol as a table, and libraries raise anything.
            raise InputTypeError(
                f"frame has type {type(frame).__name__} and cannot be read as a table ({error}). "
                "Pass a DataFrame."
            ) from error
    table: pd.DataFrame = _in_native_order(frame)
    levels = [name for name in table.index.names if name is not None]
    return table.reset_index(level=levels) if levels else table


def _in_native_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose numbers pandas can group: in the byte order of this machine."""
    foreign = {
        place: dtype.newbyteorder("=")
        for place, dtype in enumerate(frame.dtypes)
        if isinstance(dtype, np.dtype) and not dtype.isnative
    }
    if not foreign:
        return frame
    # By position, because names may be repeated.
    columns = [
        column.to_numpy().astype(foreign[place]) if place in foreign else column
        for place, (_, column) in enumerate(frame.items())
    ]
    native = pd.concat([pd.Series(column, index=frame.index) for column in columns], axis=1)
    return native.set_axis(frame.columns, axis=1)


def channel_values(frame: pd.DataFrame, channels: list[str]) -> NDArray[Any]:
    """Return the channels as an array; errors say what a column may be instead."""
    try:
        return frame_as_numbers(frame[channels])
    except InputTypeError as error:
        raise InputTypeError(
            f"{error} If it holds labels, pass label=...; otherwise name the channels: "
            "channels=[...]."
        ) from error


def _check_no_format(time_format: str | None) -> None:
    if time_format is not None:
        raise InputError(
            f"time_format={time_format!r} says how time points are written, and no column holds "
            "any. Name it with time=..., or leave the format out."
        )


# From rows to series


def series_codes(series_ids: pd.Series[Any]) -> tuple[Ints, pd.Index[Any]]:
    """Return the series of each row as a number, in order of appearance, and the ids."""
    if len(series_ids) == 0:
        raise InputError(NO_ROWS)
    try:
        codes, ids = pd.factorize(series_ids)
    except TypeError as error:
        raise InputTypeError(
            f"the series ids in {series_ids.name!r} cannot be compared ({error}). Convert them to "
            "text or numbers, for example with .astype(str)."
        ) from error
    _check_distinct(series_ids, codes)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise InputError(
            f"row {row} has no series id ({series_ids.name} is missing). Drop the row, or fill in "
            "its id."
        )
    return codes.astype(np.int64), pd.Index(ids, name=series_ids.name)


def _check_distinct(series_ids: pd.Series[Any], codes: Ints) -> None:
    """Check that no ids of different kinds were taken for one: 1, 1.0 and True are equal."""
    if not pd.api.types.infer_dtype(series_ids).startswith("mixed"):
        return
    kinds = [Integral if _is_integer(one) else type(one) for one in series_ids]
    first_rows = dict(zip(codes[::-1], range(len(codes) - 1, -1, -1), strict=True))
    for row, code in enumerate(codes):
        first = first_rows[code]
        if code >= 0 and kinds[row] != kinds[first]:
            raise InputError(
                f"the series ids {series_ids.iloc[first]!r} (row {first}) and "
                f"{series_ids.iloc[row]!r} (row {row}) in {series_ids.name!r} are equal, although "
                "they are different names. Convert the ids to text, with .astype(str)."
            )


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def split_by_series(
    values: NDArray[Any], codes: Ints, steps: Ints, ids: pd.Index[Any]
) -> list[NDArray[Any]]:
    """Return one (n_timesteps, n_channels) array per series, with NaN at steps without a row."""
    lengths = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(lengths, codes, steps + 1)
    check_density(lengths, len(values), ids)
    ends = np.cumsum(lengths)
    positions = (ends - lengths)[codes] + steps
    return np.split(_scatter(values, positions, int(ends[-1])), ends[:-1])


def _scatter(values: NDArray[Any], positions: Ints, n_positions: int) -> NDArray[Any]:
    """Move rows to their positions: NaN where there is no row, the mean where there are several."""
    counts = np.bincount(positions, minlength=n_positions)
    if counts.max() > 1:
        means = pd.DataFrame(values).groupby(positions).mean()
        return means.reindex(range(n_positions)).to_numpy()
    if counts.min() == 1:
        dense = np.empty((n_positions, values.shape[1]), values.dtype)
    else:
        dtype = np.result_type(values, np.float32)
        dense = np.full((n_positions, values.shape[1]), np.nan, dtype)
    dense[positions] = values
    return dense


def _series_labels(labels: pd.Series[Any], codes: Ints, ids: pd.Index[Any]) -> pd.Series[Any]:
    """Return the label of each series, after checking that all its rows have the same one."""
    first_rows = np.unique(codes, return_index=True)[1]
    label_codes = pd.factorize(labels)[0]
    differs = label_codes != label_codes[first_rows][codes]
    if differs.any():
        row = int(np.argmax(differs))
        first = labels.iloc[first_rows[codes[row]]]
        raise InputError(
            f"series {ids[codes[row]]} has the labels {first} and {labels.iloc[row]} (row {row}) "
            f"in column {labels.name!r}; a series has one label. Split the series, or pass "
            "label=None."
        )
    return labels.iloc[first_rows].set_axis(ids)
