"""CSV and Parquet as frames: whole, in parts of so many rows, or only the columns' names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from seqfeat.exceptions import InputError

__all__ = ["TABLES", "Table", "open_table", "suffix_of"]

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


class Table(Protocol):
    """A file with a table in it."""

    path: Path

    def read(self) -> pd.DataFrame:
        """Return the whole table."""

    def empty(self) -> pd.DataFrame:
        """Return the table's columns and index without any rows."""

    def parts(
        self, n_rows: int, columns: list[str] | None = None, dtypes: dict[str, Any] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the table in parts of at most `n_rows`, and of some columns only if so wished."""


def suffix_of(path: Path) -> str:
    """Return the suffix that tells the format, without that of a compression.

    That of a folder is that of the files in it, if they are Parquet.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-1] if suffixes else ""
    if path.is_dir() and next(path.rglob("*.parquet"), None) is not None:
        return ".parquet"
    return ".csv" if kind in COMPRESSED and suffixes[-2:-1] == [".csv"] else kind


def open_table(path: Path) -> Table:
    """Return a table that is read as its suffix tells."""
    return TABLES[suffix_of(path)](path)


class CsvTable:
    """Comma-separated values, compressed or not, whose first line names the columns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> pd.DataFrame:
        """Return the whole table."""
        try:
            self._refuse_missing_header()
            # In one go, or an id might be a number in one place and text in another.
            return pd.read_csv(self.path, low_memory=False)
        except CSV_ERRORS as error:
            raise self._refusal(error) from error

    def empty(self) -> pd.DataFrame:
        """Return the table's columns without any rows."""
        try:
            self._refuse_missing_header()
            return pd.read_csv(self.path, nrows=0)
        except CSV_ERRORS as error:
            raise self._refusal(error) from error

    def parts(
        self, n_rows: int, columns: list[str] | None = None, dtypes: dict[str, Any] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the table in parts of at most `n_rows`."""
        try:
            self._refuse_missing_header()
            with pd.read_csv(
                self.path, chunksize=n_rows, usecols=columns, dtype=dtypes, low_memory=False
            ) as parts:
                yield from (part for part in parts if len(part))
        except CSV_ERRORS as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> InputError:
        return InputError(f"{self.path} is no table of comma-separated values: {error}")

    def _refuse_missing_header(self) -> None:
        """Refuse a first line of values, which would be lost as names."""
        first_line = pd.read_csv(self.path, header=None, nrows=1, dtype=str).iloc[0]
        numbers = pd.to_numeric(first_line, errors="coerce")
        if len(numbers) and numbers.notna().all() and not (np.diff(numbers) > 0).all():
            raise InputError(
                f"the first line of {self.path} holds {first_line.iloc[0]}, "
                f"{first_line.iloc[1]}, ..., which look like values. Add a line with the names of "
                "the columns above it."
            )


class ParquetTable:
    """A file or a folder of Parquet. Needs pyarrow."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> pd.DataFrame:
        """Return the whole table."""
        try:
            return pd.read_parquet(self.path)
        except ImportError as error:
            raise ImportError(NO_PYARROW) from error
        except (ValueError, OSError) as error:
            raise self._refusal(error) from error

    def empty(self) -> pd.DataFrame:
        """Return the table's columns and index without any rows."""
        frame: pd.DataFrame = self._dataset().schema.empty_table().to_pandas()
        return frame

    def parts(
        self, n_rows: int, columns: list[str] | None = None, dtypes: dict[str, Any] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the table in parts of at most `n_rows`; its own types hold, not `dtypes`."""
        pyarrow, dataset = _pyarrow(), self._dataset()
        # One batch ahead and nothing kept for later, or memory grows with the file.
        options = {
            "batch_size": n_rows,
            "batch_readahead": 1,
            "fragment_readahead": 1,
            "use_threads": False,
            "fragment_scan_options": pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False),
        }
        try:
            for batches in _together(dataset.to_batches(columns=columns, **options), n_rows):
                part = pyarrow.Table.from_batches(batches).to_pandas()
                yield _without_categories(part)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise self._refusal(error) from error

    def _dataset(self) -> Any:
        pyarrow = _pyarrow()
        try:
            return pyarrow.dataset.dataset(self.path, format="parquet", partitioning="hive")
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> InputError:
        return InputError(f"{self.path} is no Parquet file: {error}")


def _pyarrow() -> Any:
    try:
        import_module("pyarrow.dataset")
    except ImportError as error:
        raise ImportError(NO_PYARROW) from error
    return import_module("pyarrow")


def _together(batches: Iterable[Any], n_rows: int) -> Iterator[list[Any]]:
    """Put batches together up to so many rows: a file of small groups has small batches only."""
    held: list[Any] = []
    for batch in batches:
        if held and sum(map(len, held)) + len(batch) > n_rows:
            yield held
            held = []
        if len(batch):
            held.append(batch)
    if held:
        yield held


def _without_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return categories as what they stand for, as parts may number them differently."""
    types = {
        name: column.cat.categories.dtype
        for name, column in frame.items()
        if isinstance(column.dtype, pd.CategoricalDtype)
    }
    return frame.astype(types) if types else frame


CSV_ERRORS = (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError)
NO_PYARROW = "Parquet needs pyarrow: pip install 'seqfeat[parquet]'"
TABLES: dict[str, type[CsvTable] | type[ParquetTable]] = {
    ".csv": CsvTable,
    ".parquet": ParquetTable,
}
