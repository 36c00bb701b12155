"""DATA: files and the data that come along, read whole or in batches."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from seqfeat.cli.console import Console, counted
from seqfeat.cli.errors import UserError
from seqfeat.exceptions import InputError
from seqfeat.series import LabelledSeries, from_channels_first, read, read_batches
from seqfeat.series.files import kind_of
from seqfeat.series.streaming import even_step, slices
from seqfeat.series.tables import TABLES, open_table
from seqfeat.series.time_grid import EvenStep

__all__ = ["Batch", "Reading", "Source", "ids_of", "naming_series", "open_source", "stream"]

DEMO = "demo:"
DEMOS = ("demo:japanese-vowels", "demo:japanese-vowels:train", "demo:japanese-vowels:test")


@dataclass(frozen=True)
class Reading:
    """How series are read, apart from where they are; see `seqfeat.series.read`.

    ``even_step`` is what ``step="auto"`` was in the training.
    """

    label: str | None = None
    series_id: str | None = None
    time: str | None = None
    channels: list[str] | None = None
    step: Any = "auto"
    channels_first: bool = False
    even_step: Any = None

    @classmethod
    def of(cls, options: argparse.Namespace, trained: Mapping[str, Any] | None = None) -> Reading:
        """Return what the options say, and where they say nothing, what the training did."""
        known = {**asdict(cls()), **(trained or {})}
        given = {
            "label": options.label,
            "series_id": options.id,
            "time": options.time,
            "channels": options.channels,
            "step": options.step,
            "channels_first": options.channels_first or None,
        }
        known |= {name: value for name, value in given.items() if value is not None}
        if options.step is not None:
            known["even_step"] = None
        return cls(**{name: known[name] for name in asdict(cls())})

    @property
    def arguments(self) -> dict[str, Any]:
        """What `read` is called with."""
        is_even = self.step == "auto" and self.even_step is not None
        return {
            "label": self.label,
            "series_id": self.series_id,
            "time": self.time,
            "channels": self.channels,
            "step": EvenStep(self.even_step) if is_even else self.step,
        }


@dataclass(frozen=True)
class Source:
    """Series that can be read."""

    name: str
    reading: Reading

    def read(self) -> LabelledSeries:
        """Return all series."""
        if self.name.startswith(DEMO):
            return _demo(self.name)
        with self._hints():
            return self._turned(read(self.name, **self.reading.arguments))

    def batches(self) -> Iterator[LabelledSeries]:
        """Yield the series in parts."""
        if self.name.startswith(DEMO):
            yield from slices(_demo(self.name))
            return
        with self._hints():
            for part in read_batches(self.name, **self.reading.arguments):
                yield self._turned(part)

    @property
    def is_wide(self) -> bool:
        """Whether this is a table with a row for each series."""
        if self.name.startswith(DEMO) or not _is_table(self.name):
            return False
        return not _is_long(self.reading, open_table(Path(self.name)).empty())

    def for_card(self) -> dict[str, Any] | None:
        """Return how the series of a training were read, for whoever reads others."""
        reading = self.reading
        if self.name.startswith(DEMO) or not _is_table(self.name):
            return {"channels_first": True} if reading.channels_first else None
        frame = open_table(Path(self.name)).empty()
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

    def _turned(self, labelled: LabelledSeries) -> LabelledSeries:
        if not self.reading.channels_first:
            return labelled
        if isinstance(labelled.X, (pd.DataFrame, pd.Series)):
            raise UserError("--channels-first is for arrays, .npy and .npz; a table has no order.")
        return LabelledSeries(from_channels_first(labelled.X), labelled.y)

    @contextmanager
    def _hints(self) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            is_even = isinstance(self.reading.arguments["step"], EvenStep)
            if not is_even or "step=" not in str(error):
                raise
            raise UserError(
                f"{error} (The step, {self.reading.even_step}, is that of the training; --step "
                "auto finds the data's own.)"
            ) from error


def open_source(
    name: str,
    options: argparse.Namespace,
    *,
    trained: Mapping[str, Any] | None = None,
    demo_split: str = "test",
) -> Source:
    """Return a source after checking that it is there and has the columns it needs.

    Parameters
    ----------
    name : str
        A file or ``demo:...``.
    options : Namespace
        With what `seqfeat.cli.options.add_data` added.
    trained : dict, default=None
        How the series of the training were read, from the model's card.
    demo_split : {"train", "test"}, default="test"
        What ``demo:japanese-vowels`` means.
    """
    reading = Reading.of(options, trained)
    if name.startswith(DEMO):
        if name not in DEMOS:
            raise UserError(f"there is no {name}; there are {', '.join(DEMOS)}.")
        return Source(name if name.count(":") == 2 else f"{name}:{demo_split}", Reading())
    kind_of(Path(name))
    if _is_table(name):
        reading = _checked_columns(Path(name), reading, options)
    else:
        reading = _without_columns(reading, options)
    return Source(name, reading)


def ids_of(X: Any, start: int) -> pd.Index[Any]:
    """Return what series are called; those without names by their number, from `start` on."""
    if isinstance(X, (pd.DataFrame, pd.Series)):
        return X.index.rename(X.index.name or "series")
    return pd.RangeIndex(start, start + len(X), name="series")


def _is_table(name: str) -> bool:
    return kind_of(Path(name)) in TABLES


def _is_long(reading: Reading, frame: pd.DataFrame) -> bool:
    is_indexed = frame.index.nlevels == 2
    return is_indexed or reading.time is not None or reading.channels is not None


def _checked_columns(path: Path, reading: Reading, options: argparse.Namespace) -> Reading:
    """Refuse columns that are not there; leave out labels that only the training needed."""
    frame = open_table(path).empty()
    there = [str(name) for name in frame.columns] + [str(name) for name in frame.index.names]
    if reading.label not in there and options.label is None:
        reading = replace(reading, label=None)
    wanted = [
        ("--label", reading.label),
        ("--id", reading.series_id),
        ("--time", reading.time),
        *(("--channels", name) for name in reading.channels or []),
    ]
    for option, column in wanted:
        if column is not None and column not in there:
            given = getattr(options, option.removeprefix("--")) is not None
            raise UserError(_no_such_column(path, option, column, frame, is_given=given))
    return reading


def _no_such_column(
    path: Path, option: str, column: str, frame: pd.DataFrame, *, is_given: bool
) -> str:
    names = list(map(str, frame.columns))
    close = difflib.get_close_matches(column, names, n=1)
    shown = ", ".join(names if len(names) <= 20 else [*names[:10], "...", *names[-3:]])
    hint = f" Did you mean {close[0]!r}?" if close else ""
    origin = "" if is_given else f" Pass {option}, which is that of the training otherwise."
    return f"{option} {column}: {path.name} has no such column; it has {shown}.{hint}{origin}"


def _without_columns(reading: Reading, options: argparse.Namespace) -> Reading:
    """Leave out the training's columns for a file that has none; `read` refuses those given."""
    return replace(
        reading,
        label=options.label,
        series_id=options.id,
        time=options.time,
        channels=options.channels,
        even_step=None,
    )


def _demo(name: str) -> LabelledSeries:
    from seqfeat.datasets import load_japanese_vowels

    is_test = name.endswith(":test")
    split: Literal["train", "test"] = "test" if is_test else "train"
    return LabelledSeries(*load_japanese_vowels(split=split, return_X_y=True))


FIXED = {
    "Pass missing='mask' to read NaN as not observed (and NaN at the end as a shorter series), or "
    "fill it.": "Fill it, or train the model with --missing mask, which takes NaN as not observed.",
    "Replace it, or set it to NaN and pass missing='mask'.": "Replace it.",
}
"""What the library advises before a training, and what can be done once there is a model."""
ADVICE = {
    " For one series pass X[None]; for one channel pass X[:, :, None].": (
        " In a table with a row for each series and time, --id and --time name the columns that "
        "say which; each row is a series otherwise."
    ),
    " as input: the last axis holds the channels.": (
        " as input, its channels. --channels names the columns that are channels, --label one "
        "that is none."
    ),
}
"""What the library says for Python, and what to say instead."""
OTHER_TABLE = ("X has ", "The feature names ")
"""How scikit-learn's errors begin about a table unlike that of the training."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some series, their labels or None, and what they are called."""

    X: Any
    y: Any
    ids: pd.Index[Any]

    def __len__(self) -> int:
        return len(self.ids)


def stream(source: Source, console: Console) -> Iterator[Batch]:
    """Yield a source's series in batches, and show how many there have been."""
    n_read = 0
    for X, y in counted(source.batches(), console):
        batch = Batch(X, y, ids_of(X, n_read))
        with naming_series(batch.ids):
            yield batch
        n_read += len(batch)


@contextmanager
def naming_series(ids: pd.Index[Any], *, is_trained: bool = True) -> Iterator[None]:
    """Call series in errors by their names, where the library knows their places only.

    `is_trained` says whether there is a model already, which decides what can be done.
    """
    try:
        yield
    except InputError as error:
        message = re.sub(r"\bseries (\d+)\b", lambda found: _named(found, ids), str(error))
        for before, after in FIXED.items() if is_trained else ():
            message = message.replace(before, after)
        raise UserError(_without_python(message)) from error
    except ValueError as error:
        if not str(error).startswith(OTHER_TABLE):
            raise
        raise UserError(str(error)) from error


def _without_python(message: str) -> str:
    """Name the options, where the library names what to do in Python."""
    for words, advice in ADVICE.items():
        if message.endswith(words):
            return message.removesuffix(words) + advice
    return message


def _named(found: re.Match[str], ids: pd.Index[Any]) -> str:
    place = int(found[1])
    return f"series {ids[place]}" if place < len(ids) else found[0]
