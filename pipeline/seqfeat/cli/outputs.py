"""Files that grow by a batch at a time and take their place when they are whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pandas as pd

from seqfeat.cli.errors import UserError
from seqfeat.runtime.atomic_files import replacing

__all__ = ["Writer", "check_extra", "check_picture", "check_suffix", "check_target", "writing"]

NPY: Any = np.lib.format  # whose functions have no types

PICTURES = (".png", ".svg", ".pdf")


class Writer(Protocol):
    """Takes frames whose index names the series."""

    def write(self, frame: pd.DataFrame) -> None:
        """Add a batch."""


def check_suffix(path: str, allowed: tuple[str, ...], option: str = "--output") -> None:
    """Refuse a file of another kind."""
    if Path(path).suffix.lower() not in allowed:
        raise UserError(
            f"{option} {path}: the suffix is {Path(path).suffix!r}; use {' or '.join(allowed)}."
        )


def check_target(path: str | None, *inputs: str, option: str = "--output") -> None:
    """Refuse to write over what is read, or where nothing can be, before any work is done."""
    if path is None:
        return
    if Path(path).is_dir():
        raise UserError(f"{option} {path} is a folder; name a file in it.")
    for other in inputs:
        for target in _written(Path(path)):
            if Path(other).exists() and target.exists() and target.samefile(other):
                raise UserError(
                    f"{option} {path} would replace {other}, which is what is read; "
                    "choose another name."
                )
    folder = Path(os.path.realpath(path)).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is a file and no folder", str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, "nothing can be written there", str(folder))


def check_extra(module: str, option: str, extra: str) -> None:
    """Refuse an option whose library is missing, before any work is done."""
    if find_spec(module) is None:
        raise ImportError(f"{option} needs {module}: pip install 'seqfeat[{extra}]'")


def check_picture(option: str, path: str, *inputs: str) -> None:
    """Refuse a picture that could not be drawn in the end."""
    check_suffix(path, PICTURES, option)
    check_target(path, *inputs, option=option)
    check_extra("matplotlib", option, "plot")


def _written(path: Path) -> list[Path]:
    """Return all files that a result is written into."""
    return [path, _ids_path(path)] if path.suffix.lower() == ".npy" else [path]


def _ids_path(path: Path) -> Path:
    """Return where the names of the series go, which an array has no room for."""
    return path.with_suffix(".ids.csv")


@contextmanager
def writing(path: str) -> Iterator[Writer]:
    """Open a file for rows of series; if the block fails, what was there before stays."""
    check_suffix(path, tuple(WRITERS))
    with ExitStack() as stack:
        new = stack.enter_context(replacing(path))
        writer = stack.enter_context(WRITERS[Path(path).suffix.lower()](new, Path(path)))
        yield writer


@contextmanager
def _csv(new: Path, path: Path) -> Iterator[Writer]:
    with new.open("w", encoding="utf-8", newline="") as file:
        yield CsvRows(file)


class CsvRows:
    """Rows as text, the ids in the first column; also for stdout."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._is_first = True

    def write(self, frame: pd.DataFrame) -> None:
        """Add a batch, and before the first one the names of the columns."""
        frame.to_csv(self._file, header=self._is_first, lineterminator="\n")
        self._is_first = False


@contextmanager
def _parquet(new: Path, path: Path) -> Iterator[Writer]:
    try:
        import_parquet()
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: pip install 'seqfeat[parquet]'") from error
    rows = _ParquetRows(new)
    try:
        yield rows
    finally:
        rows.close()


def import_parquet() -> Any:
    """Return pyarrow and its module for Parquet."""
    from importlib import import_module

    return import_module("pyarrow"), import_module("pyarrow.parquet")


class _ParquetRows:
    def __init__(self, path: Path) -> None:
        self._pyarrow, self._parquet = import_parquet()
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
def _npy(new: Path, path: Path) -> Iterator[Writer]:
    """Write numbers alone, and the ids into a file beside them."""
    with ExitStack() as stack:
        new_ids = stack.enter_context(replacing(_ids_path(path)))
        ids = stack.enter_context(new_ids.open("w", encoding="utf-8", newline=""))
        file = stack.enter_context(new.open("wb"))
        rows = _NpyRows(file, CsvRows(ids))
        yield rows
        rows.close()


class _NpyRows:
    """An array whose number of rows is known at the end only, when its header is written again."""

    def __init__(self, file: IO[bytes], ids: CsvRows) -> None:
        self._file, self._ids = file, ids
        self._array: np.ndarray[Any, Any] | None = None
        self._n_rows = 0

    def write(self, frame: pd.DataFrame) -> None:
        array = np.ascontiguousarray(frame.to_numpy())
        if frame.shape[1] == 1:
            array = array[:, 0]
        if array.dtype == object or array.dtype.kind in "UST":
            raise UserError(
                "a .npy file holds numbers, and these are labels; use .csv or .parquet."
            )
        if self._array is None:
            self._array = array[:0]
            self._write_header()
        self._file.write(array.astype(self._array.dtype, copy=False).tobytes())
        self._ids.write(frame[[]])
        self._n_rows += len(array)

    def close(self) -> None:
        if self._array is not None:
            end = self._file.tell()
            self._file.seek(0)
            start = self._write_header()
            n_values = self._n_rows * int(np.prod(self._array.shape[1:], dtype=np.int64))
            assert end - start == n_values * self._array.itemsize

    def _write_header(self) -> int:
        assert self._array is not None
        header: dict[str, Any] = NPY.header_data_from_array_1_0(self._array)
        header["shape"] = (self._n_rows, *self._array.shape[1:])
        # NumPy leaves room in a header for the number of rows to grow.
        NPY.write_array_header_1_0(self._file, header)
        return self._file.tell()


WRITERS: dict[str, Any] = {".csv": _csv, ".parquet": _parquet, ".npy": _npy}
