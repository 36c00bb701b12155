"""Recordings, with one row per timestep, from files, frames and arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.runtime.visible_text import shorten
from seqfeat.series.arrays import as_list
from seqfeat.series.clock import Clock, Reading, TimeColumn
from seqfeat.series.clock.reading import NUMBERS
from seqfeat.series.columns import channel_columns, check_columns, match_names
from seqfeat.series.files.csv_files import CsvFormat
from seqfeat.series.files.names import as_names
from seqfeat.series.files.reading import (
    TablePlan,
    file_format,
    key_columns,
    names_in,
    plan_table,
    read,
)
from seqfeat.series.files.streaming import whole_series
from seqfeat.series.files.tables import TABLES, Table, open_table
from seqfeat.series.lazy_array import LazyArray, is_lazy
from seqfeat.series.long import (
    SERIES,
    TIME,
    LabelledSeries,
    as_pandas,
    channel_values,
    series_codes,
    split_by_series,
)
from seqfeat.series.numbers import as_numbers
from seqfeat.series.time_grid import (
    EvenStep,
    ScannedStep,
    Step,
    StepScan,
    is_auto,
    steps_by_order,
    steps_by_time,
)

__all__ = [
    "Recording",
    "Recordings",
    "Roles",
    "read_recording_parts",
    "read_recordings",
    "recordings_step",
]

TIME_INDEXES = (pd.DatetimeIndex, pd.TimedeltaIndex, pd.PeriodIndex)
"""An index of these types holds times, whatever its name."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording, with a row for each timestep.

    Attributes
    ----------
    name : object
    values : ndarray of shape (n_timesteps, n_channels)
        NaN where nothing was observed.
    codes : ndarray of shape (n_timesteps,), or None
        The position of the label of each timestep among the classes; -1 if missing.
    clock : _Clock or None
        The times of the timesteps; None for positions.
    """

    name: Any
    values: NDArray[Any]
    codes: Any = None
    clock: _Clock | None = None

    def times_at(self, places: Ints) -> pd.Index[Any]:
        """Return the time of each of the given timesteps."""
        return pd.Index(places) if self.clock is None else self.clock.at(places)


class _Clock(NamedTuple):
    """The times of a table, how they are read, and those of the timesteps of a recording.

    Attributes
    ----------
    times : Series of length n_rows
    reading : Reading
    rows : ndarray of shape (n_timesteps,)
        The first row of each timestep; -1 if it has none.
    step : number, Timedelta or None
        The time from one timestep to the next.
    is_binned : bool
        Whether a timestep may begin before its first row.
    """

    times: pd.Series[Any]
    reading: Reading
    rows: Ints
    step: Any
    is_binned: bool

    def at(self, places: Ints) -> pd.Index[Any]:
        """Return the time of each of the given timesteps."""
        rows = self.rows[places]
        own = self._read(rows)
        is_own = rows >= 0
        if self.is_binned or not is_own.all():
            # Where there is no row, or several were averaged, the time is that of the grid.
            counted = self._read(self.rows[:1]).iloc[0] + pd.Series(places) * self.step
            if self.is_binned:
                is_own &= (abs(own - counted) < 1e-3 * self.step).to_numpy()
            own = own.where(is_own, counted)
        times: pd.Index[Any] = pd.Index(own)
        return times

    def _read(self, rows: Ints) -> pd.Series[Any]:
        """Return the times of rows as numbers, dates or durations; months stay as they are."""
        times = self.times.iloc[rows].reset_index(drop=True)
        if times.dtype.kind in "mM" or isinstance(times.dtype, pd.PeriodDtype):
            return times
        clock = self.reading.read(TimeColumn(times))
        if clock.unit is None:
            return pd.Series(clock.values) if self.reading.name == NUMBERS else times
        if clock.epoch is None:
            return pd.Series(clock.values * clock.unit)
        dates = _as_dates(clock)
        has_zone = clock.local_values is not None or self.reading.name.endswith("with a zone")
        return dates.dt.tz_localize("UTC") if has_zone else dates


def _as_dates(clock: Clock) -> pd.Series[Any]:
    """Return dates in microseconds, or finer ones in nanoseconds."""
    fine = clock.values * (clock.unit // np.timedelta64(1, "ns"))
    unit = "ns" if (fine % 1000).any() else "us"
    since = fine if unit == "ns" else fine // 1000
    return pd.Series(clock.epoch.astype(f"M8[{unit}]") + since.astype(f"m8[{unit}]"))


@dataclass(frozen=True, eq=False)
class Recordings:
    """Recordings, the classes that their codes stand for, and the time between timesteps."""

    all: list[Recording]
    classes: Any = None
    step: Any = None


class Roles(NamedTuple):
    """The roles of the columns of a table, its step, and how it is written; see `windows`."""

    by: str | None = None
    time: str | None = None
    channels: str | list[str] | None = None
    step: Step = "auto"
    time_format: str | None = None
    form: CsvFormat | None = None


def read_recordings(recording: Any, roles: Roles, label: Any) -> Recordings:
    """Return the recordings in anything that `windows` accepts."""
    items, is_single = _as_items(recording)
    if any(map(_is_path, items.values())):
        items, label, is_single = _read_files(items, roles, label, is_single=is_single)
    if roles.by is not None and not is_single:
        raise InputError(
            f"by={roles.by!r}, but each element of a dict or list is a recording of its own. Leave "
            "it out, or pass one table."
        )
    frames = [_is_frame(item) for item in items.values()]
    if any(frames) and not all(frames):
        raise InputTypeError(
            f"recording {list(items)[frames.index(False)]!r} is no table, but others are. Pass "
            "tables, or arrays."
        )
    if all(frames):
        return _from_frames(items, roles, label, is_single=is_single)
    for name in ("by", "time", "channels"):
        if getattr(roles, name) is not None:
            raise InputError(
                f"{name}={getattr(roles, name)!r}, but the recordings are arrays, which have no "
                "columns. Leave it out, or pass DataFrames."
            )
    return _from_arrays(items, label, is_single=is_single)


def _as_items(recording: Any) -> tuple[dict[Any, Any], bool]:
    """Return recordings by name, and whether it is a single one."""
    if _is_path(recording):
        return {_names_of([recording])[0]: recording}, True
    if isinstance(recording, Iterator):
        recording = list(recording)
    if isinstance(recording, Mapping):
        items = dict(recording)
    elif isinstance(recording, pd.Series) and recording.dtype == object:
        items = dict(zip(recording.index, recording, strict=True))
    elif isinstance(recording, (list, tuple)) and any(map(_is_path, recording)):
        names = _names_of(recording) if all(map(_is_path, recording)) else range(len(recording))
        items = dict(zip(names, recording, strict=True))
    elif _is_frame(recording):
        return {0: recording}, True
    elif (arrays := as_list(recording)) is not None or getattr(recording, "ndim", 0) == 3:
        items = dict(enumerate(recording if arrays is None else arrays))
    else:
        return {0: recording}, True
    if not items:
        raise InputError("there are 0 recordings; at least 1 is required.")
    return items, False


def _is_frame(item: Any) -> bool:
    is_other = hasattr(item, "__dataframe__") or hasattr(item, "__arrow_c_stream__")
    return isinstance(item, (pd.DataFrame, pd.Series)) or is_other


# Files


def _is_path(item: Any) -> bool:
    return isinstance(item, (str, os.PathLike))


def _names_of(paths: Sequence[Any]) -> list[str]:
    """Return the names of files without folder and suffix, or their paths if these repeat."""
    names = list(map(_stem, map(Path, paths)))
    return names if len(set(names)) == len(names) else [os.fspath(path) for path in paths]


def _stem(path: Path) -> str:
    stem = Path(path.name if path.is_dir() else path.stem)
    return stem.stem if stem.suffix.lower() in TABLES else str(stem)


def _read_files(
    items: dict[Any, Any], roles: Roles, label: Any, *, is_single: bool
) -> tuple[dict[Any, Any], Any, bool]:
    """Return the content of files, and their labels if they hold any and no others were given."""
    loaded = {
        name: _load(Path(it), roles, label) if _is_path(it) else LabelledSeries(it, None)
        for name, it in items.items()
    }
    items = {name: it.X for name, it in loaded.items()}
    if label is None and all(it.y is not None for it in loaded.values()):
        label = {name: it.y for name, it in loaded.items()}
        label = next(iter(label.values())) if is_single else label
    if is_single:
        (X,) = items.values()
        if not _is_frame(X) and (as_list(X) is not None or X.ndim == 3):
            items, is_single = _as_items(X)
    return items, label, is_single


def _load(path: Path, roles: Roles, label: Any) -> LabelledSeries:
    """Return a table, whose names are as they are written, or arrays and their labels."""
    if file_format(path) not in TABLES:
        return read(path)
    table = open_table(path, roles.form)
    by, time, channels, name = _matched(table, roles, label if isinstance(label, str) else None)
    keys = key_columns(by, time, name)
    frame = table.empty(keys)
    columns = [*keys, *channel_columns(frame, channels, list(keys))]
    check_columns(frame, columns)
    # An index of a Parquet file may hold the times, or the recordings and the times.
    is_indexed = table.has_dtypes and time is None
    frame = table.read(keys, None if is_indexed else columns)
    if not table.has_dtypes:
        frame = frame.assign(**{it: as_names(frame[it]) for it in key_columns(by, name)})
    return LabelledSeries(frame, None)


def _matched(table: Table, roles: Roles, label: str | None) -> tuple[Any, Any, Any, Any]:
    """Return the columns of recordings, times, channels and labels as the file calls them."""
    by, time, channels, label = names_in(table, roles.by, roles.time, roles.channels, label)
    return by, time, channels, label


def read_recording_parts(path: str, roles: Roles, label: str | None) -> Iterator[Recordings]:
    """Yield the recordings of a table a few at a time; without `by` it is one, read as a whole."""
    if roles.by is None:
        yield read_recordings(path, roles, label)
        return
    plan = _plan(Path(path), roles, label)
    assert plan.layout is not None, "channels are named"
    for frame, found in whole_series(plan, plan.layout):
        part = roles._replace(
            by=found.series_id, time=found.time, channels=found.channels, step=found.step
        )
        yield _from_frames({0: frame}, part, found.label, is_single=True)


def _plan(path: Path, roles: Roles, label: str | None) -> TablePlan:
    """Return the plan of a table of recordings, for which its channels have to be named."""
    table = open_table(path, roles.form)
    by, time, channels, label = _matched(table, roles, label)
    frame = table.empty(key_columns(by, time, label))
    channels = channel_columns(frame, channels, [by, time, label])
    return plan_table(path, label, by, time, channels, roles.step, roles.time_format, roles.form)


def recordings_step(path: str, roles: Roles) -> Any:
    """Return the time from one timestep of a table to the next; None if it has no times.

    Reads the names of the recordings and the times alone, if they are columns.
    """
    if roles.time is None:
        return read_recordings(path, roles, None).step
    table = open_table(Path(path), roles.form)
    by, time, _, _ = _matched(table, roles, None)
    frame = table.read(key_columns(by, time), key_columns(by, time))
    codes = np.zeros(len(frame), np.int64) if by is None else series_codes(frame[by])[0]
    return _length_of(_scan_step(codes, frame[time], roles))


# Arrays


def _from_arrays(items: dict[Any, Any], label: Any, *, is_single: bool) -> Recordings:
    arrays = {name: _as_rows(name, item) for name, item in items.items()}
    _check_same_channels({name: array.shape[1] for name, array in arrays.items()})
    if label is None:
        return Recordings([Recording(name, array) for name, array in arrays.items()])
    n_rows = {name: len(array) for name, array in arrays.items()}
    codes, classes = pd.factorize(pd.concat(_array_labels(label, n_rows, is_single=is_single)))
    parts = np.split(codes.astype(np.int64), np.cumsum(list(n_rows.values()))[:-1])
    found = zip(arrays.items(), parts, strict=True)
    return Recordings([Recording(name, array, part) for (name, array), part in found], classes)


def _as_rows(name: Any, item: Any) -> NDArray[Any]:
    """Return a recording as an array of shape (n_timesteps, n_channels)."""
    try:
        array = as_numbers(LazyArray(item)[:] if is_lazy(item) else item)
    except (TypeError, ValueError) as error:
        kind = InputTypeError if isinstance(error, TypeError) else InputError
        raise kind(f"recording {name!r}: {error}") from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(
            f"recording {name!r} has shape {array.shape}; a recording has shape (n_timesteps, "
            "n_channels) or (n_timesteps,), with at least 1 of each."
        )
    return array


def _check_same_channels(channels: dict[Any, Any]) -> None:
    (first, expected), *others = channels.items()
    for name, found in others:
        if found != expected:
            raise InputError(
                f"recording {name!r} has the channels {found}, recording {first!r} has {expected}; "
                "all recordings must have the same ones."
                if isinstance(found, list)
                else f"recording {name!r} has {found} channels, recording {first!r} has {expected};"
                " all recordings must have the same channels. Each is read as (n_timesteps, "
                "n_channels); transpose them if the channels come first."
            )


def _array_labels(label: Any, n_rows: dict[Any, int], *, is_single: bool) -> list[pd.Series[Any]]:
    """Return the labels of the rows of each recording."""
    if is_single:
        given = dict.fromkeys(n_rows, label)
    elif isinstance(label, Mapping):
        given = dict(label)
    elif isinstance(label, str) or not hasattr(label, "__len__") or len(label) != len(n_rows):
        raise InputError(
            f"label={shorten(repr(label))}; for {len(n_rows)} recordings pass a dict or list with "
            "the labels of each: one label, or one for each of its rows."
        )
    else:
        given = dict(zip(n_rows, label, strict=True))
    if set(given) != set(n_rows):
        name = next(iter(set(given) ^ set(n_rows)))
        raise InputError(
            f"label and the recordings have different names: {name!r} is in one of them only. Pass "
            "a dict with the same keys."
        )
    return [_row_labels(name, given[name], count) for name, count in n_rows.items()]


def _row_labels(name: Any, label: Any, n_rows: int) -> pd.Series[Any]:
    if isinstance(label, str) or not hasattr(label, "__len__"):
        return pd.Series([label] * n_rows)
    if len(label) != n_rows:
        raise InputError(
            f"recording {name!r} has {n_rows} rows and {len(label)} labels; pass one label for "
            "each row."
        )
    return pd.Series(list(label) if isinstance(label, (list, tuple)) else label).reset_index(
        drop=True
    )


# Tables


class _Rows(NamedTuple):
    """The rows of one or more recordings: their recording, time, label and channels."""

    names: pd.Series[Any]
    times: pd.Series[Any] | None
    labels: pd.Series[Any] | None
    channels: pd.DataFrame


def _from_frames(items: dict[Any, Any], roles: Roles, label: Any, *, is_single: bool) -> Recordings:
    is_column = label is None or isinstance(label, str) or not hasattr(label, "__len__")
    parts = [_rows_of(name, it, roles, label if is_column else None) for name, it in items.items()]
    first = list(parts[0].channels.columns)
    # By name, so that the order of the columns may differ.
    _check_same_channels(
        {name: sorted(map(str, it.channels)) for name, it in zip(items, parts, strict=True)}
    )
    rows = _Rows(
        _stack([it.names for it in parts]),
        _stack([it.times for it in parts]),
        _stack([it.labels for it in parts]),
        _stack([it.channels[first] for it in parts]),
    )
    if not is_column:
        n_rows = {name: len(it.names) for name, it in zip(items, parts, strict=True)}
        rows = rows._replace(labels=_stack(_array_labels(label, n_rows, is_single=is_single)))
    return _on_grid(rows, roles)


def _stack(parts: list[Any]) -> Any:
    """Return columns below each other, or None if there are none."""
    if parts[0] is None:
        return None
    return (
        parts[0].reset_index(drop=True) if len(parts) == 1 else pd.concat(parts, ignore_index=True)
    )


def _rows_of(name: Any, frame: Any, roles: Roles, label: str | None) -> _Rows:
    """Return the rows of a table; without a column of recordings they are one, of this name."""
    by, time, channels, *_ = roles
    if isinstance(frame, pd.Series):
        frame = frame.to_frame("value" if frame.name is None else frame.name)
    times = None
    if isinstance(frame, pd.DataFrame):
        if frame.index.nlevels == 2 and by is None and time is None:
            frame = frame.rename_axis([SERIES, TIME])
            by, time = SERIES, TIME
        elif time is None and isinstance(frame.index, TIME_INDEXES):
            times = pd.Series(frame.index, name=frame.index.name or TIME)
        used = {by, time, label, *([channels] if isinstance(channels, str) else channels or [])}
        unused = [i for i, level in enumerate(frame.index.names) if level not in used]
        # A level that nobody named is no channel.
        frame = frame.reset_index(drop=True) if len(unused) == frame.index.nlevels else frame
    frame = as_pandas(frame)
    by, time, channels, label = (
        match_names(given, list(frame.columns)) for given in (by, time, channels, label)
    )
    names = channel_columns(frame, channels, [by, time, label])
    check_columns(frame, [by, time, label, *names])
    if len(frame) == 0:
        raise InputError(f"recording {name!r} has 0 rows; at least 1 is required.")
    return _Rows(
        pd.Series([name] * len(frame)) if by is None else frame[by],
        times if time is None else frame[time],
        None if label is None else frame[label],
        frame[names],
    )


def _on_grid(rows: _Rows, roles: Roles) -> Recordings:
    """Return recordings with a row for each timestep, where there may be none in the table."""
    codes, ids = series_codes(rows.names)
    step = scanned = None
    if rows.times is None:
        steps = steps_by_order(codes)
    else:
        scanned = _scan_step(codes, rows.times, roles)
        steps = steps_by_time(codes, rows.times, ids, scanned)
        step = _length_of(scanned)
    values = channel_values(rows.channels, rows.channels.columns.tolist())
    arrays = split_by_series(values, codes, steps, ids)
    ends = np.cumsum([len(array) for array in arrays])
    begins = ends - [len(array) for array in arrays]
    positions = begins[codes] + steps
    codes_of_steps, classes = None, None
    if rows.labels is not None:
        found, classes = pd.factorize(rows.labels)
        codes_of_steps = _codes_of_steps(found.astype(np.int64), positions, int(ends[-1]))
    rows_of_steps = np.full(ends[-1], -1)
    # Written in reverse, so that the first row of each timestep remains.
    rows_of_steps[positions[::-1]] = np.arange(len(positions))[::-1]
    recordings = []
    for name, array, begin, end in zip(ids, arrays, begins, ends, strict=True):
        label_codes = None if codes_of_steps is None else codes_of_steps[begin:end]
        clock = None
        if rows.times is not None and scanned is not None:
            is_even = is_auto(scanned.step) or isinstance(scanned.step, EvenStep)
            is_binned = not (is_even or scanned.step is None)
            steps_of_one = rows_of_steps[begin:end]
            clock = _Clock(rows.times, scanned.reading, steps_of_one, step, is_binned)
        recordings.append(Recording(name, array, label_codes, clock))
    return Recordings(recordings, classes, step)


def _scan_step(codes: Ints, times: pd.Series[Any], roles: Roles) -> ScannedStep:
    """Return the step, and how the times are read, unless they are known from a whole table."""
    if isinstance(roles.step, ScannedStep):
        return roles.step
    scan = StepScan(roles.step, roles.time_format)
    scan.update(codes, times)
    return scan.step()


def _length_of(scanned: ScannedStep) -> Any:
    """Return the time from one timestep to the next, a number or a Timedelta, or None."""
    length = scanned.step
    if is_auto(length):
        length = scanned.shortest
    elif isinstance(length, EvenStep):
        length = length.length
    return length if length is None or isinstance(length, Real) else pd.Timedelta(length)


def _codes_of_steps(codes: Ints, positions: Ints, n_positions: int) -> Ints:
    """Return the most frequent code of the rows of each timestep; -1 where there is none."""
    found = np.full(n_positions, -1)
    rows = pd.DataFrame({"position": positions, "code": codes, "row": np.arange(len(codes))})
    rows = rows[rows["code"] >= 0]
    votes = rows.groupby(["position", "code"], as_index=False)["row"].agg(["size", "min"])
    votes = votes.sort_values(["position", "size", "min"], ascending=[False, True, False])
    # The last one of several remains: the one with most votes, and of these the first.
    found[votes["position"]] = votes["code"]
    return found
