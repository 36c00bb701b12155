"""DATA: series from a file or a built-in data set, read whole or in batches."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from seqfeat.cli.console import Console, count_series, format_list
from seqfeat.cli.errors import UserError
from seqfeat.exceptions import InputError
from seqfeat.series import LabelledSeries, from_channels_first, read, read_batches
from seqfeat.series.files.reading import file_format
from seqfeat.series.files.streaming import even_step, split_batches
from seqfeat.series.files.tables import TABLES, open_table
from seqfeat.series.time_grid import EvenStep

__all__ = ["DEMO", "DataSource", "ReadOptions", "SeriesBatch", "open_source", "series_ids"]

DEMO = "demo:"
DEMOS = ("demo:japanese-vowels", "demo:japanese-vowels:train", "demo:japanese-vowels:test")


@dataclass(frozen=True)
class ReadOptions:
    """How to read series; see `seqfeat.series.read`.

    ``even_step`` is the step that ``step="auto"`` found in the training data.
    """

    label: str | None = None
    series_id: str | None = None
    time: str | None = None
    channels: list[str] | None = None
    step: Any = "auto"
    channels_first: bool = False
    even_step: Any = None

    @classmethod
    def combine(
        cls, options: argparse.Namespace, trained: Mapping[str, Any] | None = None
    ) -> ReadOptions:
        """Take what the command line gives, then what the training used, then the defaults."""
        values = {**asdict(cls()), **(trained or {})}
        given = {
            "label": options.label,
            "series_id": options.id,
            "time": options.time,
            "channels": options.channels,
            "step": options.step,
            "channels_first": options.channels_first or None,
        }
        values |= {name: value for name, value in given.items() if value is not None}
        if options.step is not None:
            values["even_step"] = None
        return cls(**{name: values[name] for name in asdict(cls())})

    @property
    def keywords(self) -> dict[str, Any]:
        """The keyword arguments of `read` and `read_batches`."""
        return {
            "label": self.label,
            "series_id": self.series_id,
            "time": self.time,
            "channels": self.channels,
            "step": EvenStep(self.even_step) if self.has_even_step else self.step,
        }

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

    def read(self) -> LabelledSeries:
        """Read all series."""
        if self.name.startswith(DEMO):
            return _load_demo(self.name)
        with self._hint_at_step():
            return self._channels_last(read(self.name, **self.reading.keywords))

    def batches(self, console: Console) -> Iterator[SeriesBatch]:
        """Yield the series in batches, and show their number on a terminal."""
        yield from count_series(self._batches(), console)

    def _batches(self) -> Iterator[SeriesBatch]:
        n_read = 0
        for X, y in self._parts():
            batch = SeriesBatch(X, y, series_ids(X, n_read))
            yield batch
            n_read += len(batch)

    def _parts(self) -> Iterator[LabelledSeries]:
        if self.name.startswith(DEMO):
            yield from split_batches(_load_demo(self.name))
            return
        with self._hint_at_step():
            for part in read_batches(self.name, **self.reading.keywords):
                yield self._channels_last(part)

    @property
    def is_wide(self) -> bool:
        """Whether this is a table with one row per series."""
        if self.name.startswith(DEMO) or not _is_table(self.name):
            return False
        return not _is_long(self.reading, open_table(Path(self.name)).empty(self.reading.keys))

    def card_entry(self) -> dict[str, Any] | None:
        """Describe for the model's card how the training data was read."""
        reading = self.reading
        if self.name.startswith(DEMO) or not _is_table(self.name):
            return {"channels_first": True} if reading.channels_first else None
        frame = open_table(Path(self.name)).empty(reading.keys)
        if _is_long(reading, frame):
            others = [reading.series_id, reading.time, reading.label]
            names = [str(name) for name in frame.columns if name not in others]
            reading = replace(reading, channels=reading.channels or names)
            if reading.step == "auto":
                step = even_step(self.name, series_id=reading.series_id, time=reading.time)
                step = str(step) if isinstance(step, pd.Timedelta) else step
                reading = replace(reading, even_step=step)
        fields = asdict(reading)
        return {name: fields[name] for name in fields if name != "channels_first"}

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
    """Return the ids of series; series without ids are numbered from `start`."""
    if isinstance(X, (pd.DataFrame, pd.Series)):
        return X.index.rename(X.index.name or "series")
    return pd.RangeIndex(start, start + len(X), name="series")


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
    if name.startswith(DEMO):
        if name not in DEMOS:
            raise UserError(f"unknown data set {name}; available: {', '.join(DEMOS)}.")
        return DataSource(name if name.count(":") == 2 else f"{name}:{demo_split}", ReadOptions())
    file_format(Path(name))
    if _is_table(name):
        reading = _check_columns(Path(name), reading, options)
    else:
        # `read` rejects columns for a file without any; those of the training do not count.
        reading = replace(
            reading,
            label=options.label,
            series_id=options.id,
            time=options.time,
            channels=options.channels,
            even_step=None,
        )
    return DataSource(name, reading)


def _is_table(name: str) -> bool:
    return file_format(Path(name)) in TABLES


def _is_long(reading: ReadOptions, frame: pd.DataFrame) -> bool:
    is_indexed = frame.index.nlevels == 2
    return is_indexed or reading.time is not None or reading.channels is not None


def _check_columns(path: Path, reading: ReadOptions, options: argparse.Namespace) -> ReadOptions:
    """Check that the columns exist, except for labels, which only the training needs."""
    frame = open_table(path).empty(reading.keys)
    existing = [str(name) for name in (*frame.columns, *frame.index.names)]
    if reading.label not in existing and options.label is None:
        reading = replace(reading, label=None)
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
