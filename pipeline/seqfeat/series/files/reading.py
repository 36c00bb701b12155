"""`read`: series and labels from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.columns import (
    channel_columns,
    check_columns,
    match_names,
    timestep_columns,
)
from seqfeat.series.files.array_files import read_npy, read_npz
from seqfeat.series.files.csv_files import CsvFormat, CsvTable
from seqfeat.series.files.names import as_names
from seqfeat.series.files.tables import TABLES, Table, format_suffix, open_table
from seqfeat.series.files.ts_files import read_ts
from seqfeat.series.long import LabelledSeries, LongLayout, long_layout, step_for
from seqfeat.series.nested import from_nested, is_nested
from seqfeat.series.numbers import frame_as_numbers
from seqfeat.series.series import to_pandas_series
from seqfeat.series.time_grid import Step

__all__ = [
    "TablePlan",
    "check_has_columns",
    "check_has_rows",
    "file_format",
    "from_wide",
    "key_columns",
    "names_in",
    "plan_table",
    "read",
    "repeated_ids_first",
]


def read(
    path: str | Path,
    *,
    label: str | None = None,
    series_id: str | None = None,
    time: str | None = None,
    channels: str | list[str] | None = None,
    step: Step = "auto",
    time_format: str | None = None,
    elapsed: bool = False,
    separator: str = "auto",
    decimal: str = "auto",
    encoding: str = "auto",
    header: bool | str = "auto",
    na_values: Sequence[str] = (),
) -> LabelledSeries:
    r"""Read series, and their labels if there are any, from a file.

    ============  =============================================================
    ``.csv``,     A wide table, with one row per series and one column per
    ``.tsv``,     timestep; or, with `time` or `channels`, a long table, see
    ``.txt``      `from_long`. The first line holds the column names, except in
                  ``.tsv`` and ``.txt`` files of the UCR archive, whose first
                  column is the label. May be compressed with gzip, bzip2, xz or
                  zstd, as in ``.csv.gz``.
    ``.parquet``  The same, or a frame that was saved with an index of series
                  and time. A file, or a folder of any name that contains such
                  files, read in order of their names. Needs
                  ``seqfeat[parquet]``.
    ``.npy``      One array, which is memory-mapped and read block by block.
    ``.npz``      The array ``X`` and, optionally, the labels ``y``, and
                  ``lengths`` for series padded to the same length.
    ``.ts``       The format of the UCR and UEA archive; series with time points are
                  put on a grid of `step`.
    ============  =============================================================

    Parameters
    ----------
    path : str or Path
        The file; its suffix determines the format.
    label : str, default=None
        The column with the labels.
    series_id : str, default=None
        The column with the ids of the series.
    time : str, default=None
        The column with the time points of a long table.
    channels : str or list of str, default=None
        The columns with the values of a long table; None uses all other columns.
    step : "auto", float, str, Timedelta or None, default="auto"
        The time from one timestep of a long table to the next, as in `from_long`.
    time_format : str, default=None
        How the time points of a long table are written, as in `from_long`.
    elapsed : bool, default=False
        Whether the time since the row before becomes the last channel of a long
        table, as in `from_long`.
    separator : str, default="auto"
        The character between the fields of a CSV file, or ``" "`` for any white
        space. ``"auto"`` is the one of comma, semicolon, tab and pipe that divides
        all of the first rows as it divides the header.
    decimal : str, default="auto"
        The decimal sign of a CSV file, ``"."`` or ``","``. ``"auto"`` is the comma if
        numbers have one, none has a point, and another character separates fields.
    encoding : str, default="auto"
        The encoding of a CSV file, such as ``"latin-1"``. ``"auto"`` is UTF-8, or what
        the byte order mark says.
    header : "auto" or bool, default="auto"
        Whether the first line of a CSV file holds the names of the columns. Without
        them, columns are called ``"0"``, ``"1"``, ...
    na_values : list of str, default=()
        Further texts that stand for missing values in a CSV file, such as ``["?"]``.

    Returns
    -------
    X : DataFrame, Series or ndarray
        Input for the estimators: a table for wide data, a pandas Series of
        arrays for long data, or an array. The index holds the ids, if any.
    y : Series, ndarray or None
        The labels.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the format is unknown, a column is missing, or the content is not valid.
    ImportError
        If an optional dependency is missing; the message names the extra.

    Warns
    -----
    IndexColumnWarning
        If a column looks like the index of a table, such as ``Unnamed: 0``, which is
        not taken for values unless `channels` names it.

    Notes
    -----
    Ids and labels come out as they are written. Those of a CSV file are numbers only
    if each of them is what Python writes for that number: ``7`` is, and ``007``,
    ``1.10``, ``1E5`` and ``NA`` are text. Among values, empty cells and the words that
    pandas knows, such as ``NA``, are missing, and any other text is an error.

    Tables are read into memory as a whole, ``.npy`` is not. `read_batches` reads
    tables in batches, and `seqfeat.read_into` converts a table larger than memory
    to an array on disk. Reading any of these formats executes no code: arrays of
    Python objects are rejected.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from seqfeat.series import read
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "wide.csv")
    ...     _ = path.write_text("speaker,0,1,2\nanna,1.5,2.0,2.5\nben,0.5,0.0,0.1\n")
    ...     X, y = read(path, label="speaker")
    >>> X.shape, y.tolist()
    ((2, 3), ['anna', 'ben'])
    """
    path = Path(path)
    suffix = file_format(path)
    form = CsvFormat(separator, decimal, encoding, header, na_values)
    if suffix in TABLES:
        plan = plan_table(path, label, series_id, time, channels, step, time_format, form, elapsed)
        with repeated_ids_first(plan):
            frame = plan.table.read(plan.keys, plan.columns)
        frame = frame.assign(**{name: as_names(frame[name]) for name in plan.text_names})
        check_has_rows(plan, len(frame))
        if plan.layout is None:
            return from_wide(frame, plan.label, plan.series_id)
        return plan.layout.convert(plan.layout.flatten(frame))
    columns = {"label": label, "series_id": series_id, "time": time, "channels": channels}
    check_has_columns(path, form, **columns, elapsed=elapsed or None)
    return read_ts(path, step) if suffix == ".ts" else _ARRAYS[suffix](path)


class TablePlan(NamedTuple):
    """What is read from a table, decided from the names of its columns alone.

    Attributes
    ----------
    table : Table
    layout : LongLayout or None
        The roles of the columns of a long table, whose channels are known; None for a wide one.
    label, series_id : str or None
    columns : list of str or None
        The columns to read; None if series and time are the index.
    """

    table: Table
    layout: LongLayout | None
    label: str | None
    series_id: str | None
    columns: list[str] | None

    @property
    def keys(self) -> list[str]:
        """The columns that hold ids, time points and labels."""
        if self.layout is None:
            return key_columns(self.series_id, self.label)
        return key_columns(self.label) if self.layout.is_indexed else self.layout.keys

    @property
    def text_names(self) -> list[str]:
        """The columns of ids and labels, if they are text whatever they hold."""
        return [] if self.table.has_dtypes else key_columns(self.series_id, self.label)


def plan_table(
    path: Path,
    label: str | None,
    series_id: str | None,
    time: str | None,
    channels: str | list[str] | None,
    step: Step = "auto",
    time_format: str | None = None,
    form: CsvFormat | None = None,
    elapsed: bool = False,
) -> TablePlan:
    """Return what to read from a table, after checking that it has the columns.

    All that reads a table passes through here, so that all find the same columns, errors and
    warnings.
    """
    table = open_table(path, form)
    is_named = label or series_id or time or channels
    if isinstance(table, CsvTable) and table.dialect.is_archive and not is_named:
        label = table.names[0]
    label, series_id, time, channels = names_in(table, label, series_id, time, channels)
    frame = table.empty(key_columns(series_id, time, label))
    layout = long_layout(frame, series_id, time, channels, label, step, time_format, elapsed)
    if layout is None:
        check_columns(frame, [label, series_id])
        keys = [series_id, label]
        wide = [*key_columns(*keys), *timestep_columns(frame, keys)]
        return TablePlan(table, None, label, series_id, _in_order(frame, wide))
    if isinstance(table, CsvTable):
        table.time = layout.time
    flat = layout.flatten(frame)
    names = channel_columns(flat, channels, [layout.series_id, layout.time, label])
    check_columns(flat, [*layout.keys, *names])
    step_for(None, layout.time, names, elapsed=elapsed)
    layout = replace(layout, channels=names)
    columns = None if layout.is_indexed else _in_order(frame, [*layout.keys, *names])
    return TablePlan(table, layout, label, series_id, columns)


def names_in(table: Table, *given: Any) -> list[Any]:
    """Return columns, or lists of them, as the file calls those that a user means."""
    return [match_names(one, table.names) if isinstance(table, CsvTable) else one for one in given]


def _in_order(frame: pd.DataFrame, columns: list[str]) -> list[str]:
    """Return columns in the order of the table, each of them once."""
    return [name for name in frame.columns if name in columns]


def file_format(path: Path) -> str:
    """Return the suffix that stands for the format of a file, checking that it can be read."""
    suffix = format_suffix(path)
    known = [*TABLES, *_ARRAYS, ".ts"]
    if suffix not in known:
        problem = "is a folder without .parquet files"
        if not path.is_dir():
            problem = f"has the suffix {suffix!r}"
        raise InputError(
            f"{path} {problem}; seqfeat reads {', '.join(known)}, and folders of Parquet files."
        )
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}.")
    return suffix


def key_columns(*names: str | None) -> list[str]:
    """Return the columns that hold ids, time points and labels, each of them once."""
    return list(dict.fromkeys(name for name in names if name is not None))


def check_has_columns(path: Path, form: CsvFormat, **columns: Any) -> None:
    """Check that nothing is said about the columns of a file that has none."""
    for field in fields(form):
        value = getattr(form, field.name)
        if value != field.default:
            raise InputError(
                f"{field.name}={value!r}, but {path.name} is no text. Leave it out; it says how a "
                "CSV file is written."
            )
    for name, column in columns.items():
        if column is not None:
            raise InputError(
                f"{name}={column!r}, but {path.name} holds arrays, which have no columns. "
                "Leave it out; labels are read from the file if it has any."
            )


def from_wide(frame: pd.DataFrame, label: str | None, series_id: str | None) -> LabelledSeries:
    """Return a table with one row per series, without its columns of ids and labels."""
    check_columns(frame, [label, series_id])
    if series_id is not None:
        _check_unique(frame[series_id])
        frame = frame.set_index(series_id)
    y = None if label is None else frame[label]
    X = frame if label is None else frame.drop(columns=label)
    if is_nested(X):
        return LabelledSeries(to_pandas_series(from_nested(X), X.index), y)
    try:
        frame_as_numbers(X)
    except InputTypeError as error:
        raise InputTypeError(
            f"{error} If it holds labels or ids, pass label=... or series_id=...; if this is a "
            "long table, pass series_id and time."
        ) from error
    return LabelledSeries(X, y)


def check_has_rows(plan: TablePlan, n_rows: int) -> None:
    """Check that a wide table has a row; `from_long` checks a long one."""
    if plan.layout is None and n_rows == 0:
        raise InputError(f"{plan.table.path} has no rows; at least 1 series is required.")


@contextmanager
def repeated_ids_first(plan: TablePlan) -> Iterator[None]:
    """Report ids that occur more than once before text among the values, which follows from it.

    A table that is read as a wide one by mistake has both.
    """
    try:
        yield
    except InputTypeError:
        if plan.layout is None and plan.series_id is not None:
            name = plan.series_id
            _check_unique(plan.table.read([name], [name])[name])
        raise


def _check_unique(ids: pd.Series[Any]) -> None:
    is_repeated = ids.duplicated().to_numpy()
    if is_repeated.any():
        row = int(np.argmax(is_repeated))
        raise InputError(
            f"series_id={ids.name!r}: {ids.iloc[row]} occurs more than once, again in row {row}; "
            "the ids of a wide table must be unique. For a long table, with one row per series and "
            "timestep, pass time=... as well (or channels=[...] if its rows are in order)."
        )


_ARRAYS: dict[str, Callable[[Path], LabelledSeries]] = {
    ".npy": read_npy,
    ".npz": read_npz,
}
