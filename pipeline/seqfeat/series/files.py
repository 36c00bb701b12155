"""`read`: series and labels from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.arrays import from_channels_first
from seqfeat.series.long import LabelledSeries, from_long
from seqfeat.series.numbers import numeric_columns
from seqfeat.series.series import array_of_arrays
from seqfeat.series.tables import TABLES, open_table, suffix_of
from seqfeat.series.time_grid import Step

__all__ = ["SERIES", "TIME", "from_wide", "kind_of", "named_levels", "read", "refuse_no_id"]

SERIES, TIME = "series", "time"
"""What the levels of a frame's index are called when they become columns."""

NPZ_NAMES = {"X", "y", "lengths"}


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
    ``.csv``      A wide table, one row for each series and one column for each
                  timestep, or with `time` or `channels` a long one, see
                  `from_long`. The first line names the columns. Also
                  compressed, as ``.csv.gz``.
    ``.parquet``  The same, or a frame that was saved with an index of series
                  and time. A file, or a folder of any name with such files in
                  it, in order of their names. Needs ``seqfeat[parquet]``.
    ``.npy``      One array, which stays on disk and is read in blocks.
    ``.npz``      The array ``X``; if there, the labels ``y``, and ``lengths``
                  for series padded to one length.
    ``.ts``       The format of the UCR and UEA archive. Needs ``seqfeat[ts]``.
    ============  =============================================================

    Parameters
    ----------
    path : str or Path
        The file; its suffix tells the format.
    label : str, default=None
        The column with the labels.
    series_id : str, default=None
        The column that names the series.
    time : str, default=None
        The column with the time points of a long table.
    channels : str or list of str, default=None
        The columns of a long table with the values; None takes all the rest.
    step : "auto", float, str, Timedelta or None, default="auto"
        The time between timesteps of a long table, as in `from_long`.

    Returns
    -------
    X : DataFrame, Series or ndarray
        What the estimators take: a table for wide data, a pandas Series of
        arrays for long data, or an array. The ids, if any, are the index.
    y : Series, ndarray or None
        The labels.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If the format is not known, a column is missing, or the content is no
        set of series.
    ImportError
        If an extra is missing; the message names it.

    Notes
    -----
    Tables are read whole into memory; ``.npy`` is not. `read_batches` reads tables in parts,
    and `seqfeat.read_into` turns one that is larger than memory into an array on disk.
    Nothing in these formats executes code: arrays of Python objects are refused.

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
    kind = kind_of(path)
    if kind in TABLES:
        frame = open_table(path).read()
        if isinstance(frame.index, pd.MultiIndex) and frame.index.nlevels == 2:
            return from_long(named_levels(frame), SERIES, TIME, channels, label, step=step)
        if time is not None or channels is not None:
            ids = refuse_no_id(series_id, frame)
            return from_long(frame, ids, time, channels, label, step=step)
        return from_wide(frame, label, series_id)
    _refuse_columns(path, label=label, series_id=series_id, time=time, channels=channels)
    return _ARRAYS[kind](path)


def kind_of(path: Path) -> str:
    """Return the suffix that tells the format; refuse others, and files that are not there."""
    kind = suffix_of(path)
    known = [*TABLES, *_ARRAYS]
    if kind not in known:
        what = "is a folder without .parquet files" if path.is_dir() else f"has the suffix {kind!r}"
        raise InputError(
            f"{path} {what}; seqfeat reads {', '.join(known)}, and folders of Parquet."
        )
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}.")
    return kind


def _refuse_columns(path: Path, **columns: Any) -> None:
    for name, column in columns.items():
        if column is not None:
            raise InputError(
                f"{name}={column!r}, but {path.name} holds arrays, which have no columns. "
                "Leave it out; labels are read from the file where it has them."
            )


def named_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame indexed by series and time as a long table with these columns."""
    return frame.rename_axis([SERIES, TIME]).reset_index()


def refuse_no_id(series_id: str | None, frame: pd.DataFrame) -> str:
    """Return the column of the ids, which a long table needs."""
    if series_id is None:
        raise InputError(
            "a long table needs series_id, the column that tells which series a row is of; the "
            f"table has {_names(frame)}."
        )
    return series_id


def from_wide(frame: pd.DataFrame, label: str | None, series_id: str | None) -> LabelledSeries:
    """Return a table of one row for each series, apart from its labels and ids."""
    for name in (label, series_id):
        if name is not None and name not in frame.columns:
            raise InputError(f"there is no column {name!r}; the table has {_names(frame)}.")
    if series_id is not None:
        ids = frame[series_id]
        if ids.duplicated().any():
            raise InputError(
                f"series_id={series_id!r}: {ids[ids.duplicated()].iloc[0]} occurs more than once. "
                "For a long table, one row for each series and time, pass time=... as well (or "
                "channels=[...] if its rows are in order); else ids have to differ."
            )
        frame = frame.set_index(series_id)
    y = None if label is None else frame[label]
    X = frame if label is None else frame.drop(columns=label)
    if not X.shape[1]:
        raise InputError(f"no column is left to be a timestep; the table has {_names(frame)}.")
    _refuse_text(X)
    return LabelledSeries(X, y)


def _refuse_text(X: pd.DataFrame) -> None:
    try:
        numeric_columns(X)
    except InputTypeError as error:
        raise InputTypeError(
            f"{error} If it holds labels or ids, pass label=... or series_id=...; if the table "
            "is a long one, pass series_id and time."
        ) from error


def _names(frame: pd.DataFrame) -> str:
    names = list(map(str, frame.columns))
    return ", ".join(names if len(names) <= 12 else [*names[:6], "...", *names[-2:]])


def _read_npy(path: Path) -> LabelledSeries:
    try:
        return LabelledSeries(np.lib.format.open_memmap(path, mode="r"), None)  # type: ignore[no-untyped-call]
    except (ValueError, EOFError, OSError) as error:
        raise InputError(_unreadable(path, error)) from error


def _read_npz(path: Path) -> LabelledSeries:
    # Opened here, because NumPy leaves a file open that is no archive.
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                names = archive.files
                arrays = {name: archive[name] for name in names if name in NPZ_NAMES}
        except Exception as error:  # zipfile, zlib and NumPy each have their own
            raise InputError(_unreadable(path, error)) from error
    if "X" not in arrays or set(names) - NPZ_NAMES:
        raise InputError(
            f"{path} holds the arrays {names}; save it with "
            "numpy.savez(path, X=series, y=labels), y and lengths being optional."
        )
    X, y = arrays["X"], arrays.get("y")
    if y is not None and len(y) != len(X):
        raise InputError(f"{path} holds {len(X)} series and {len(y)} labels.")
    return LabelledSeries(_cut(X, arrays.get("lengths"), path), y)


def _cut(X: NDArray[Any], lengths: NDArray[Any] | None, path: Path) -> NDArray[Any]:
    """Return padded series as an array of objects, each cut to its length."""
    if lengths is None:
        return X
    is_valid = lengths.shape == X.shape[:1] and lengths.dtype.kind in "iu" and X.ndim > 1
    if not is_valid or (len(lengths) and not (1 <= lengths.min() <= lengths.max() <= X.shape[1])):
        raise InputError(
            f"{path}: lengths has to hold one whole number from 1 to {X.shape[1:2]} for each of "
            f"the {len(X)} series in X, of shape {X.shape}."
        )
    return array_of_arrays([row[:length] for row, length in zip(X, lengths, strict=True)])


def _unreadable(path: Path, error: Exception) -> str:
    return (
        f"{path} cannot be read as arrays of numbers: {error} Arrays of Python objects are "
        "refused, as reading them executes code; save unequal series padded, with their lengths: "
        "numpy.savez(path, X=padded, lengths=lengths, y=labels)."
    )


def _read_ts(path: Path) -> LabelledSeries:
    try:
        from aeon.datasets import load_from_ts_file
    except ImportError as error:
        raise ImportError("the .ts format needs aeon: pip install 'seqfeat[ts]'") from error
    try:
        X, y, header = load_from_ts_file(str(path), return_meta_data=True)
    except Exception as error:  # whatever its parser meets
        raise InputError(f"{path} is no .ts file that aeon reads: {error}") from error
    if len(X) == 0:
        raise InputError(f"{path} holds no series; a .ts file has them below a line @data.")
    has_labels = header["classlabel"] or header["targetlabel"]
    return LabelledSeries(from_channels_first(X), y if has_labels else None)


_ARRAYS: dict[str, Callable[[Path], LabelledSeries]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".ts": _read_ts,
}
