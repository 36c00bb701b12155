"""DATA: series from a file or a built-in data set, read whole or in batches."""

from __future__ import annotations

import argparse
import difflib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.cli.console import Console, count_series, format_list
from seqfeat.cli.errors import UserError
from seqfeat.exceptions import IndexColumnWarning, InputError
from seqfeat.runtime.visible_text import escape_controls
from seqfeat.series import LabelledSeries, Windows, from_channels_first, read, read_batches
from seqfeat.series.columns import index_columns, match_name
from seqfeat.series.files.csv_files import CsvFormat, CsvTable
from seqfeat.series.files.reading import TablePlan, file_format, plan_table
from seqfeat.series.files.recordings import (
    Recording,
    Recordings,
    Roles,
    read_recording_parts,
    read_recordings,
    recordings_step,
)
from seqfeat.series.files.streaming import even_step, split_batches
from seqfeat.series.files.tables import TABLES, open_table
from seqfeat.series.long import ELAPSED
from seqfeat.series.series import to_pandas_series
from seqfeat.series.time_grid import EvenStep
from seqfeat.series.windows import Cut

__all__ = [
    "DEMO",
    "DataSource",
    "ReadOptions",
    "SeriesBatch",
    "count_of",
    "open_source",
    "recordings_of",
    "series_ids",
]

RECORDING, START = "recording", "start"
"""The levels of the ids of windows, and the columns that they become in outputs."""
WINDOW_OPTIONS = ("window", "stride", "label_from", "gaps")

TEXT_OPTIONS = ("time_format", "separator", "decimal", "encoding", "header", "na_values")
"""How the cells of a table are written; options and parameters have the same names."""
DEMO = "demo:"
DEMOS = ("demo:japanese-vowels", "demo:japanese-vowels:train", "demo:japanese-vowels:test")


@dataclass(frozen=True)
class ReadOptions:
    """How to read series; see `seqfeat.series.read`.

    ``even_step`` is the step that ``step="auto"`` found in the training data.
    """

    label: str | None = None
    target: list[str] | None = None
    series_id: str | None = None
    time: str | None = None
    channels: list[str] | None = None
    step: Any = "auto"
    time_format: str | None = None
    separator: str = "auto"
    decimal: str = "auto"
    encoding: str = "auto"
    header: bool | str = "auto"
    na_values: Sequence[str] = ()
    elapsed: bool = False
    channels_first: bool = False
    even_step: Any = None
    window: Any = None
    stride: Any = None
    label_from: str = "majority"
    gaps: str = "split"

    @classmethod
    def combine(
        cls, options: argparse.Namespace, trained: Mapping[str, Any] | None = None
    ) -> ReadOptions:
        """Take what the command line gives, then what the training used, then the defaults."""
        values = {**asdict(cls()), **(trained or {})}
        if options.label is not None:
            values["target"] = None
        if options.target is not None and options.window is not None:
            # The most frequent number says little.
            values["label_from"] = "last"
        if options.window is not None:
            # The stride of the training belongs to the window of the training.
            values["stride"] = None
        values |= cls._given(options)
        if values["window"] == "none":
            values |= {"window": None, "stride": None}
        if values["stride"] is not None and values["window"] is None:
            raise UserError(f"--stride {values['stride']} needs --window, the length of a window.")
        if values["elapsed"] and values["window"] is not None:
            raise UserError("--elapsed is for series of rows, and not for recordings in windows.")
        if options.step is not None:
            values["even_step"] = None
        return cls(**{name: values[name] for name in asdict(cls())})

    @classmethod
    def for_arrays(cls, options: argparse.Namespace, reading: ReadOptions) -> ReadOptions:
        """Take only what the command line gives, as a file of arrays has no columns.

        `read` rejects columns for such a file, but those of the training do not count.
        """
        kept = ("step", "channels_first", "target", *WINDOW_OPTIONS)
        given = cls._given(options)
        if reading.target is not None:
            # An array of labels, or of numbers, is called y.
            given.pop("label", None)
            if options.target not in (None, "y"):
                given["label"] = options.target
        return cls(**{**given, **{name: getattr(reading, name) for name in kept}})

    @classmethod
    def _given(cls, options: argparse.Namespace) -> dict[str, Any]:
        """Return what the command line gives, by the names of the parameters of `read`."""
        given = {
            "label": options.label if options.target is None else options.target,
            "target": None if options.target is None else [options.target],
            "series_id": options.id,
            "time": options.time,
            "channels": options.channels,
            "step": options.step,
            "elapsed": options.elapsed or None,
            "channels_first": options.channels_first or None,
            **{name: getattr(options, name) for name in (*TEXT_OPTIONS, *WINDOW_OPTIONS)},
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def form(self) -> CsvFormat:
        """How a CSV file is written."""
        return CsvFormat(
            self.separator, self.decimal, self.encoding, self.header, tuple(self.na_values)
        )

    @property
    def keywords(self) -> dict[str, Any]:
        """The keyword arguments of `read` and `read_batches`."""
        return {
            "label": self.label,
            "series_id": self.series_id,
            "time": self.time,
            "channels": self.channels,
            "step": self.known_step,
            "elapsed": self.elapsed,
            **{name: getattr(self, name) for name in TEXT_OPTIONS},
        }

    @property
    def known_step(self) -> Any:
        """The step, and if that is "auto" the one that was found in the training data."""
        return EvenStep(self.even_step) if self.has_even_step else self.step

    @property
    def cut(self) -> Cut | None:
        """How to cut recordings into windows; None if each series is one."""
        if self.window is None:
            return None
        return Cut(self.window, self.stride, self.label_from, self.gaps)

    @property
    def roles(self) -> Roles:
        """The roles of the columns of recordings."""
        return Roles(
            self.series_id, self.time, self.channels, self.known_step, self.time_format, self.form
        )

    @property
    def keys(self) -> list[str]:
        """The columns with ids, times and labels."""
        return [name for name in (self.series_id, self.time, self.label) if name is not None]

    @property
    def has_even_step(self) -> bool:
        """Whether the step is the one found in the training data."""
        return self.step == "auto" and self.even_step is not None


@dataclass(frozen=True)
class DataSource:
    """A file or a built-in data set, and how to read it."""

    name: str
    reading: ReadOptions

    def read(self, console: Console | None = None) -> LabelledSeries:
        """Read all series, after saying on the console which columns became what."""
        self._tell_columns(console)
        X, y = self._read()
        return LabelledSeries(X, self._as_targets(y, series_ids(X)))

    def _read(self) -> LabelledSeries:
        cut = self.reading.cut
        if cut is not None:
            with self._hint_at_step():
                (found,) = cut.windows([self._recordings()])
                return _as_series(found)
        if self.name.startswith(DEMO):
            return _load_demo(self.name)
        with self._hint_at_step():
            return self._channels_last(read(self.name, **self.reading.keywords))

    def batches(self, console: Console) -> Iterator[SeriesBatch]:
        """Yield the series in batches, and show their number on a terminal."""
        self._tell_columns(console)
        yield from count_series(self._batches(), console)

    def recordings(
        self, console: Console
    ) -> Iterator[tuple[Recording, NDArray[np.int64], NDArray[Any]]]:
        """Yield each recording, the timesteps at which its windows begin, and the windows."""
        cut = self.reading.cut
        assert cut is not None, "there are windows only if they are asked for"
        self._tell_columns(console)
        with self._hint_at_step():
            yield from cut.by_recording(self._recording_parts())

    def _tell_columns(self, console: Console | None) -> None:
        if console is None or self.name.startswith(DEMO) or not _is_table(self.name):
            return
        console.status(self.describe_columns())

    @property
    def noun(self) -> str:
        """What the series are called in messages."""
        return "series" if self.reading.cut is None else "windows"

    def describe_columns(self) -> str:
        """Say which columns of a table became what."""
        reading = self.reading
        role = "label" if reading.target is None else "target"
        frame = open_table(Path(self.name), reading.form).empty(reading.keys)
        if reading.cut is not None:
            by, time, label = reading.series_id, reading.time, reading.label
            roles = {"recording": by, "time": time, role: label}
            names = reading.channels or _other_columns(frame, reading.keys)
            return _tell(frame, roles, f"channels: {format_list(names, head=12, tail=2)}", names)
        plan = self._plan()
        layout, label = plan.layout, plan.label
        if layout is None:
            names = [name for name in plan.columns or () if name not in plan.keys]
            shown = f"{len(names):,} timesteps: {format_list(names, head=3, tail=1)}"
            if plan.table.holds_lists:
                shown = f"channels: {format_list(names, head=12, tail=2)}"
            if label != reading.label:
                shown += " (no header, and the labels come first)"
            return _tell(frame, {"series": plan.series_id, role: label}, shown, names)
        roles = {"series": layout.series_id, "time": layout.time, role: label}
        names = [*(layout.channels or ()), *([ELAPSED] if layout.elapsed else [])]
        shown = f"channels: {format_list(names, head=12, tail=2)}"
        return _tell(layout.flatten(frame), roles, shown, names)

    def _plan(self) -> TablePlan:
        """Return what is read from the table."""
        reading = self.reading
        with warnings.catch_warnings():
            # Reading the table warns of it.
            warnings.simplefilter("ignore", IndexColumnWarning)
            return plan_table(
                Path(self.name),
                reading.label,
                reading.series_id,
                reading.time,
                reading.channels,
                reading.step,
                reading.time_format,
                reading.form,
                reading.elapsed,
            )

    def _batches(self) -> Iterator[SeriesBatch]:
        n_read = 0
        for X, y in self._parts():
            ids = series_ids(X, n_read)
            batch = SeriesBatch(X, self._as_targets(y, ids), ids)
            yield batch
            n_read += len(batch)

    def _as_targets(self, y: Any, ids: pd.Index[Any]) -> Any:
        """Return labels as numbers, if they are to be predicted."""
        target = self.reading.target
        if target is None or y is None:
            return y
        decimal = self.reading.decimal
        if _is_table(self.name) and isinstance(table := self._plan().table, CsvTable):
            # That of all numbers, as a comma in these alone may stand between thousands.
            others = {self.reading.series_id, self.reading.time}
            decimal = table.decimal_of([name for name in table.names if name not in others])
        return as_targets(y, ids, f"--target {target[0]}", decimal)

    def _parts(self) -> Iterator[LabelledSeries]:
        cut = self.reading.cut
        if cut is not None:
            with self._hint_at_step():
                for found in cut.windows(self._recording_parts()):
                    yield from split_batches(_as_series(found))
            return
        if self.name.startswith(DEMO):
            yield from split_batches(_load_demo(self.name))
            return
        with self._hint_at_step():
            for part in read_batches(self.name, **self.reading.keywords):
                yield self._channels_last(part)

    def _recordings(self) -> Recordings:
        """Read all recordings."""
        if self.name.startswith(DEMO):
            X, y = _load_demo(self.name)
            return read_recordings(list(X), self.reading.roles, list(y))
        return read_recordings(self.name, self.reading.roles, self.reading.label)

    def _recording_parts(self) -> Iterator[Recordings]:
        """Read a recording at a time where the file allows it."""
        if self.name.startswith(DEMO) or not _is_table(self.name):
            yield self._recordings()
        else:
            yield from read_recording_parts(self.name, self.reading.roles, self.reading.label)

    @property
    def is_wide(self) -> bool:
        """Whether this is a table with one row per series."""
        if self.reading.cut is not None or self.name.startswith(DEMO) or not _is_table(self.name):
            return False
        return self._plan().layout is None

    def card_entry(self) -> dict[str, Any] | None:
        """Describe for the model's card how the training data was read."""
        reading = self.reading
        fields = asdict(reading)
        windows = {name: fields[name] for name in WINDOW_OPTIONS if reading.window is not None}
        if self.name.startswith(DEMO) or not _is_table(self.name):
            return {"channels_first": True} if reading.channels_first else windows or None
        if windows:
            frame = open_table(Path(self.name), reading.form).empty(reading.keys)
            reading = replace(
                reading, channels=reading.channels or _other_columns(frame, reading.keys)
            )
            if reading.step == "auto":
                step = recordings_step(self.name, reading.roles)
                reading = replace(reading, even_step=_as_text(step))
        else:
            layout = self._plan().layout
            if layout is not None:
                reading = replace(reading, channels=list(layout.channels or ()))
                if reading.step == "auto" and not reading.elapsed:
                    step = even_step(
                        self.name,
                        series_id=reading.series_id,
                        time=reading.time,
                        channels=reading.channels,
                        time_format=reading.time_format,
                        form=reading.form,
                    )
                    reading = replace(reading, even_step=_as_text(step))
        fields = asdict(reading)
        others = ("channels_first", *WINDOW_OPTIONS)
        return {name: fields[name] for name in fields if name not in others} | windows

    def _channels_last(self, labelled: LabelledSeries) -> LabelledSeries:
        if not self.reading.channels_first:
            return labelled
        if isinstance(labelled.X, (pd.DataFrame, pd.Series)):
            raise UserError(
                "--channels-first applies to arrays (.npy and .npz); the columns of a table have "
                "no such order."
            )
        return LabelledSeries(from_channels_first(labelled.X), labelled.y)

    @contextmanager
    def _hint_at_step(self) -> Iterator[None]:
        """Explain where the step comes from if the times do not match it."""
        try:
            yield
        except InputError as error:
            if not self.reading.has_even_step or "step=" not in str(error):
                raise
            raise UserError(
                f"{error} (The step of {self.reading.even_step} is that of the training data; "
                "--step auto determines it from this data.)"
            ) from error


@dataclass(frozen=True, eq=False)
class SeriesBatch:
    """Some series with their ids, and their labels or None."""

    X: Any
    y: Any
    ids: pd.Index[Any]

    def __len__(self) -> int:
        return len(self.ids)


def series_ids(X: Any, start: int = 0) -> pd.Index[Any]:
    """Return the ids of series, or recordings and starts; others are numbered from `start`."""
    if recordings_of(X) is not None:
        windows: pd.Index[Any] = X.index
        return windows
    if isinstance(X, (pd.DataFrame, pd.Series)):
        return X.index.rename(X.index.name or "series")
    return pd.RangeIndex(start, start + len(X), name="series")


def _as_series(windows: Windows) -> LabelledSeries:
    """Return windows as series, whose ids are the recording and the start."""
    X, y, groups, starts = windows
    index = pd.MultiIndex.from_arrays([groups, starts], names=[RECORDING, START])
    labels = None if y is None else pd.Series(y, index=index)
    return LabelledSeries(to_pandas_series(list(X), index), labels)


def recordings_of(X: Any) -> pd.Index[Any] | None:
    """Return the recording of each window, or None if the series are not windows."""
    index = getattr(X, "index", None)
    if not isinstance(index, pd.MultiIndex) or list(index.names) != [RECORDING, START]:
        return None
    return index.get_level_values(RECORDING)


def count_of(X: Any) -> str:
    """Return the number of series, or of windows and recordings, with the noun."""
    recordings = recordings_of(X)
    if recordings is None:
        return f"{len(X):,} series"
    n_recordings = recordings.nunique()
    plural = "" if n_recordings == 1 else "s"
    return f"{len(X):,} windows of {n_recordings:,} recording{plural}"


def open_source(
    name: str,
    options: argparse.Namespace,
    *,
    trained: Mapping[str, Any] | None = None,
    demo_split: str = "test",
) -> DataSource:
    """Return a source after checking that it exists and has the columns it needs.

    Parameters
    ----------
    name : str
        A file, or ``demo:...``.
    options : Namespace
        With the options that `seqfeat.cli.options.add_data` adds.
    trained : dict, default=None
        How the training data was read, from the model's card.
    demo_split : {"train", "test"}, default="test"
        The split that ``demo:japanese-vowels`` stands for.
    """
    reading = ReadOptions.combine(options, trained)
    if reading.cut is not None and reading.channels_first:
        raise UserError(
            "--channels-first does not go with --window; save recordings as (timesteps, channels)."
        )
    if name.startswith(DEMO):
        if name not in DEMOS:
            raise UserError(f"unknown data set {name}; available: {', '.join(DEMOS)}.")
        windows = ReadOptions(**{option: getattr(reading, option) for option in WINDOW_OPTIONS})
        return DataSource(name if name.count(":") == 2 else f"{name}:{demo_split}", windows)
    file_format(Path(name))
    if _is_table(name):
        reading = _check_columns(Path(name), reading, options)
    else:
        reading = ReadOptions.for_arrays(options, reading)
    return DataSource(name, reading)


def _is_table(name: str) -> bool:
    return file_format(Path(name)) in TABLES


def _as_text(step: Any) -> Any:
    """Return a step as a card holds it."""
    return str(step) if isinstance(step, pd.Timedelta) else step


def _other_columns(frame: pd.DataFrame, keys: list[str]) -> list[str]:
    """Return the columns that are channels if none are named."""
    left_out = index_columns(frame, keys)
    return [name for name in frame.columns if name not in keys and name not in left_out]


def _tell(frame: pd.DataFrame, roles: dict[str, str | None], values: str, taken: list[str]) -> str:
    """Say which columns have which role, which hold the values, and which are left out."""
    named = {role: name for role, name in roles.items() if name is not None}
    parts = [", ".join(f"{escape_controls(name)} -> {role}" for role, name in named.items())]
    parts.append(values)
    left_out = index_columns(frame, [*named.values(), *taken])
    if left_out:
        parts.append(f"left out: {format_list(left_out, head=4)}")
    return f"Columns: {'; '.join(filter(None, parts))}."


def _check_columns(path: Path, reading: ReadOptions, options: argparse.Namespace) -> ReadOptions:
    """Find the columns, except for labels, which only the training needs."""
    frame = open_table(path, reading.form).empty(reading.keys)
    existing = [str(name) for name in (*frame.columns, *frame.index.names)]
    channels = reading.channels
    if options.channels is not None:
        channels = [name for text in options.channels for name in split_names(text, existing)]
    reading = replace(
        reading,
        label=match_name(reading.label, existing),
        series_id=match_name(reading.series_id, existing),
        time=match_name(reading.time, existing),
        channels=channels,
    )
    if reading.label not in existing and options.label is None:
        reading = replace(reading, label=None)
    if reading.cut is not None and reading.series_id not in existing and options.id is None:
        # Without a column of recordings, the file is one.
        reading = replace(reading, series_id=None)
    columns = [
        ("--label", reading.label),
        ("--id", reading.series_id),
        ("--time", reading.time),
        *(("--channels", name) for name in reading.channels or []),
    ]
    for option, column in columns:
        if column is not None and column not in existing:
            is_given = getattr(options, option.removeprefix("--")) is not None
            raise UserError(_describe_missing(path, option, column, frame, is_given=is_given))
    return reading


def split_names(text: str, existing: list[str]) -> list[str]:
    """Split a list at its commas, apart from those in the names of columns.

    Examples
    --------
    >>> from seqfeat.cli.sources import split_names
    >>> split_names('u, Temp, °C', ["u", "Temp, °C"]), split_names('"a,b",c', ["a,b", "c"])
    (['u', 'Temp, °C'], ['a,b', 'c'])
    """
    parts, names, start = text.split(","), [], 0
    while start < len(parts):
        for stop in range(len(parts), start, -1):
            name = ",".join(parts[start:stop]).strip()
            if len(name) > 1 and name[0] == name[-1] == '"':
                name = name[1:-1].replace('""', '"')
            if stop == start + 1 or match_name(name, existing) in existing:
                break
        if name:
            names.append(match_name(name, existing))
        start = stop
    return names


def _describe_missing(
    path: Path, option: str, column: str, frame: pd.DataFrame, *, is_given: bool
) -> str:
    names = list(map(str, frame.columns))
    message = (
        f"{option} {column}: {path.name} has no such column. Its columns are "
        f"{format_list(names, head=16, tail=3)}."
    )
    similar = difflib.get_close_matches(column, names, n=1)
    if similar:
        message += f" Did you mean {similar[0]!r}?"
    if not is_given:
        message += f" {column!r} is the column of the training data; pass {option} for another one."
    return message


def _load_demo(name: str) -> LabelledSeries:
    from seqfeat.datasets import load_japanese_vowels

    split: Literal["train", "test"] = "test" if name.endswith(":test") else "train"
    return LabelledSeries(*load_japanese_vowels(split=split, return_X_y=True))


def as_targets(y: Any, ids: pd.Index[Any], name: str, decimal: str) -> Any:
    """Return labels as floats, NaN where they are missing; texts that are no numbers are an error.

    `name` is what the error calls them. The columns of a CSV file with labels are text as it is
    written, in which `decimal` may be a comma.
    """
    values = np.asarray(y, dtype=object)
    numbers = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if pd.isna(value):
            continue
        text = str(value).strip()
        try:
            numbers[row] = float(text.replace(",", ".") if decimal == "," else text)
        except ValueError as error:
            raise UserError(
                f"{name}: series {ids[row]} has {text!r}, which is no number. Correct it, or name "
                "the column with --label if it holds classes."
            ) from error
        if not np.isfinite(numbers[row]):
            raise UserError(
                f"{name}: series {ids[row]} has {text!r}, which is not finite. Correct it, or drop "
                "the series."
            )
    return pd.Series(numbers, index=y.index) if isinstance(y, pd.Series) else numbers
