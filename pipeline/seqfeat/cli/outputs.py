"""Files to write: checks before any work, and writers that append batch by batch.

A file replaces an existing one only once it is complete.
"""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pandas as pd

from seqfeat.cli.errors import UserError
from seqfeat.runtime.atomic_files import replacing

__all__ = [
    "TABLE_SUFFIXES",
    "CSVWriter",
    "Writer",
    "check_extra",
    "check_output",
    "check_picture",
    "check_suffix",
    "format_size",
    "ids_by_name",
    "open_writer",
]

TABLE_SUFFIXES = (".csv", ".parquet", ".npy")
PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""With what a formula may begin, the wide forms of East Asian text included."""


def check_output(
    path: str, suffixes: tuple[str, ...], *inputs: str, option: str = "--output"
) -> None:
    """Check that a file can be written and would not overwrite one of the inputs."""
    if Path(path).is_dir():
        raise UserError(f"{option} {path} is a directory; pass the name of a file.")
    check_suffix(path, suffixes, option)
    for other in inputs:
        for target in _files_of(Path(path)):
            if Path(other).exists() and target.exists() and target.samefile(other):
                raise UserError(
                    f"{option} {path} would overwrite the input {other}; choose another name."
                )
    folder = Path(os.path.realpath(path)).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def check_suffix(path: str, allowed: tuple[str, ...], option: str = "--output") -> None:
    """Check the suffix of a file name."""
    suffix = Path(path).suffix
    if suffix.lower() not in allowed:
        *others, last = allowed
        choice = f"{', '.join(others)} or {last}" if others else last
        problem = f"unsupported suffix {suffix!r}" if suffix else "the file name has no suffix"
        raise UserError(f"{option} {path}: {problem}; use {choice}.")


def check_extra(module: str, option: str, extra: str) -> None:
    """Check that the library which an option needs is installed."""
    if find_spec(module) is None:
        raise ImportError(f"{option} needs {module}: pip install 'seqfeat[{extra}]'")


def check_picture(option: str, path: str, *inputs: str) -> None:
    """Check that a picture can be drawn and written."""
    check_output(path, PICTURE_SUFFIXES, *inputs, option=option)
    check_extra("matplotlib", option, "plot")


def format_size(n_bytes: int) -> str:
    """Return the size of a file with its unit.

    Examples
    --------
    >>> from seqfeat.cli.outputs import format_size
    >>> format_size(42_000), format_size(42_000_000)
    ('41 KiB', '40.1 MiB')
    """
    if n_bytes < 2**20:
        return f"{n_bytes / 2**10:.0f} KiB"
    return f"{n_bytes / 2**20:.1f} MiB"


class Writer(Protocol):
    """Appends rows to a file."""

    def write(self, frame: pd.DataFrame) -> None:
        """Append a frame whose index holds the ids of the series."""


@contextmanager
def open_writer(path: str, *, safe_csv: bool = False) -> Iterator[Writer]:
    """Open a file for rows of series; if the block fails, the previous file stays.

    With `safe_csv`, a spreadsheet takes no cell of a CSV file for a formula.
    """
    check_suffix(path, TABLE_SUFFIXES)
    open_new = _WRITERS[Path(path).suffix.lower()]
    with replacing(path) as new, open_new(new, Path(path), safe_csv) as writer:
        yield writer


@contextmanager
def _open_csv(new: Path, path: Path, safe_csv: bool) -> Iterator[Writer]:
    with new.open("w", encoding="utf-8", newline="") as file:
        yield CSVWriter(file, is_safe=safe_csv)


def ids_by_name(ids: pd.Index[Any]) -> dict[str, list[Any]]:
    """Return the ids of series for JSON; those of windows are the recordings and the starts."""
    if ids.nlevels == 1:
        return {"ids": ids.tolist()}
    return {str(name): ids.get_level_values(level).tolist() for level, name in enumerate(ids.names)}


class CSVWriter:
    """Writes rows as CSV with the ids in the first column."""

    def __init__(self, file: Any, *, is_safe: bool = False) -> None:
        self._file, self._is_safe = file, is_safe
        self._has_header = False

    def write(self, frame: pd.DataFrame) -> None:
        """Append rows, and before the first ones the header."""
        quoting: Any = csv.QUOTE_MINIMAL
        # The ids of windows are two columns; a column of the model may have the name of one.
        table = frame.reset_index(allow_duplicates=True)
        if frame.index.nlevels > 1:
            table = _with_even_dates(table, frame.index.nlevels)
        if self._is_safe:
            # Quoted, as a spreadsheet may take semicolons and tabs for the end of a cell.
            table, quoting = _with_text_cells(table), csv.QUOTE_NONNUMERIC
        header = not self._has_header
        table.to_csv(self._file, header=header, index=False, lineterminator="\n", quoting=quoting)
        self._has_header = True


def _with_even_dates(table: pd.DataFrame, n_columns: int) -> pd.DataFrame:
    """Return a table whose first columns hold dates as texts of one form, in all its parts.

    pandas writes a fraction of a second only if some date of a part has one.
    """
    for position in range(n_columns):
        column = table.iloc[:, position]
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            texts = [date.isoformat(sep=" ", timespec="microseconds") for date in column]
            table.isetitem(position, texts)
    return table


def _with_text_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame in which an apostrophe precedes what a spreadsheet would run.

    A spreadsheet takes such a cell for text (OWASP, "CSV injection"). Numbers stay as they are,
    also those that are text. Ids, the names of columns and values are treated alike.
    """
    safe = frame.copy()
    for position, dtype in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            safe.isetitem(position, [_as_text(value) for value in safe.iloc[:, position]])
    safe.columns = [_as_text(name) for name in frame.columns]
    return safe


def _as_text(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(FORMULA_STARTS) or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@contextmanager
def _open_parquet(new: Path, path: Path, safe_csv: bool) -> Iterator[Writer]:
    try:
        writer = _ParquetWriter(new)
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: pip install 'seqfeat[parquet]'") from error
    try:
        yield writer
    finally:
        writer.close()


class _ParquetWriter:
    def __init__(self, path: Path) -> None:
        self._pyarrow = import_module("pyarrow")
        self._parquet = import_module("pyarrow.parquet")
        self._path = path
        self._writer: Any = None

    def write(self, frame: pd.DataFrame) -> None:
        columns = frame.reset_index()
        if self._writer is None:
            table = self._pyarrow.Table.from_pandas(columns, preserve_index=False)
            self._writer = self._parquet.ParquetWriter(self._path, table.schema)
        else:
            schema = self._writer.schema
            table = self._pyarrow.Table.from_pandas(columns, schema, preserve_index=False)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


@contextmanager
def _open_npy(new: Path, path: Path, safe_csv: bool) -> Iterator[Writer]:
    """Open a file for numbers and a second one for the ids."""
    with ExitStack() as stack:
        new_ids = stack.enter_context(replacing(_ids_path(path)))
        ids = stack.enter_context(new_ids.open("w", encoding="utf-8", newline=""))
        file = stack.enter_context(new.open("wb"))
        writer = _NpyWriter(file, CSVWriter(ids, is_safe=safe_csv))
        yield writer
        writer.close()


class _NpyWriter:
    """Writes one array; its header is rewritten when the number of rows is known."""

    def __init__(self, file: IO[bytes], ids: CSVWriter) -> None:
        self._file, self._ids = file, ids
        self._empty: np.ndarray[Any, Any] | None = None
        self._n_rows = 0

    def write(self, frame: pd.DataFrame) -> None:
        array = np.ascontiguousarray(frame.to_numpy())
        if array.dtype == object and all(dtype.kind in "biuf" for dtype in frame.dtypes):
            # Beside numbers, True and False are 1 and 0.
            array = array.astype(np.float64)
        if frame.shape[1] == 1:
            array = array[:, 0]
        if array.dtype == object or array.dtype.kind in "UST":
            raise UserError(
                "labels that are text do not fit into a .npy file; use .csv or .parquet."
            )
        if self._empty is None:
            self._empty = array[:0]
            self._write_header(self._empty)
        self._file.write(array.astype(self._empty.dtype, copy=False).tobytes())
        self._ids.write(frame[[]])
        self._n_rows += len(array)

    def close(self) -> None:
        if self._empty is not None:
            end = self._file.tell()
            self._file.seek(0)
            start = self._write_header(self._empty)
            n_values = self._n_rows * int(np.prod(self._empty.shape[1:], dtype=np.int64))
            assert end - start == n_values * self._empty.itemsize

    def _write_header(self, empty: np.ndarray[Any, Any]) -> int:
        """Write the header for the rows so far; NumPy reserves space for their number to grow."""
        header: dict[str, Any] = _NPY.header_data_from_array_1_0(empty)
        header["shape"] = (self._n_rows, *empty.shape[1:])
        _NPY.write_array_header_1_0(self._file, header)
        return self._file.tell()


_NPY: Any = np.lib.format  # its functions have no type annotations


def _files_of(path: Path) -> list[Path]:
    """Return all files that writing to a path creates."""
    return [path, _ids_path(path)] if path.suffix.lower() == ".npy" else [path]


def _ids_path(path: Path) -> Path:
    """Return the file for the ids, which a ``.npy`` file cannot hold."""
    return path.with_suffix(".ids.csv")


_WRITERS: dict[str, Callable[[Path, Path, bool], AbstractContextManager[Writer]]] = {
    ".csv": _open_csv,
    ".parquet": _open_parquet,
    ".npy": _open_npy,
}
