"""`read`: series and labels from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.columns import check_columns, show_columns
from seqfeat.series.files.array_files import read_npy, read_npz
from seqfeat.series.files.names import as_names
from seqfeat.series.files.tables import TABLES, format_suffix, open_table
from seqfeat.series.files.ts_files import read_ts
from seqfeat.series.long import LabelledSeries, long_layout
from seqfeat.series.numbers import frame_as_numbers
from seqfeat.series.time_grid import Step

__all__ = ["file_format", "from_wide", "key_columns", "read"]


def read(
    path: str | Path,
    *,
    label: str | None = None,
    series_id: str | None = None,
    time: str | None = None,
    channels: str | list[str] | None = None,
    step: Step = "auto",
) -> LabelledSeries:
    r"""Read series, and their labels if there are any, from a file.

    ============  =============================================================
    ``.csv``      A wide table, with one row per series and one column per
                  timestep; or, with `time` or `channels`, a long table, see
                  `from_long`. The first line holds the column names. May be
                  compressed, as in ``.csv.gz``.
    ``.parquet``  The same, or a frame that was saved with an index of series
                  and time. A file, or a folder of any name that contains such
                  files, read in order of their names. Needs
                  ``seqfeat[parquet]``.
    ``.npy``      One array, which is memory-mapped and read block by block.
    ``.npz``      The array ``X`` and, optionally, the labels ``y``, and
                  ``lengths`` for series padded to the same length.
    ``.ts``       The format of the UCR and UEA archive. Needs ``seqfeat[ts]``.
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

    Notes
    -----
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
    if suffix in TABLES:
        table = open_table(path)
        frame = table.read(key_columns(series_id, time, label))
        layout = long_layout(frame, series_id, time, channels, label, step)
        if not table.has_dtypes:
            keys = key_columns(series_id, time, label)
            frame = frame.assign(**{name: as_names(frame[name]) for name in keys if name in frame})
        if layout is None:
            return from_wide(frame, label, series_id)
        return layout.convert(layout.flatten(frame))
    _check_no_columns(path, label=label, series_id=series_id, time=time, channels=channels)
    return _ARRAYS[suffix](path)


def file_format(path: Path) -> str:
    """Return the suffix that stands for the format of a file, checking that it can be read."""
    suffix = format_suffix(path)
    known = [*TABLES, *_ARRAYS]
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
    """Return the columns that hold ids, time points and labels."""
    return [name for name in names if name is not None]


def _check_no_columns(path: Path, **columns: Any) -> None:
    """Check that no columns are named for a file that has none."""
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
    if not X.shape[1]:
        raise InputError(
            f"no column is left to be a timestep; the table has {show_columns(frame)}. Each "
            "timestep of a wide table needs a column; for a long table, pass series_id and time."
        )
    try:
        frame_as_numbers(X)
    except InputTypeError as error:
        raise InputTypeError(
            f"{error} If it holds labels or ids, pass label=... or series_id=...; if this is a "
            "long table, pass series_id and time."
        ) from error
    return LabelledSeries(X, y)


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
    ".ts": read_ts,
}
