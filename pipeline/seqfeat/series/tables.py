"""CSV and Parquet files as pandas frames: whole, in chunks of rows, or without any rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from seqfeat.exceptions import InputError

__all__ = ["TABLES", "Table", "format_suffix", "open_table"]

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
CSV_ERRORS = (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError)
NO_PYARROW = "Parquet needs pyarrow: pip install 'seqfeat[parquet]'"


class Table(Protocol):
    """A file, or a folder of files, that holds one table."""

    path: Path

    def read(self) -> pd.DataFrame:
        """Return the whole table."""

    def empty(self) -> pd.DataFrame:
        """Return the columns and the index of the table, without any rows."""

    def chunks(
        self, n_rows: int, columns: list[str] | None = None, dtypes: dict[str, Any] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the table in chunks of at most `n_rows`, by default with all columns."""


def open_table(path: Path) -> Table:
    """Return the table in a file, in the format that its suffix stands for."""
    return TABLES[format_suffix(path)](path)


def format_suffix(path: Path) -> str:
    """Return the suffix that stands for the format of a file, without that of a compression.

    A folder that contains Parquet files has their suffix.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = suffixes[-1] if suffixes else ""
    if path.is_dir() and next(path.rglob("*.parquet"), None) is not None:
        return ".parquet"
    return ".csv" if last in COMPRESSED and suffixes[-2:-1] == [".csv"] else last


class CsvTable:
    """Comma-separated values with a header line, compressed or not."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> pd.DataFrame:
        """Return the whole table."""
        try:
            self._check_header()
            # Parsed in one go; otherwise an id could be a number in one chunk and text in another.
            return pd.read_csv(self.path, low_memory=False)
        except CSV_ERRORS as error:
            raise self._invalid(error) from error

    def empty(self) -> pd.DataFrame:
        """Return the columns of the table, without any rows."""
        try:
            self._check_header()
            return pd.read_csv(self.path, nrows=0)
        except CSV_ERRORS as error:
            raise self._invalid(error) from error

    def chunks(
        self, n_rows: int, columns: list[str] | None = None, dtypes: dict[str, Any] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the table in chunks of at most `n_rows`."""
        try:
            self._check_header()
            with pd.read_csv(
                self.path, chunksize=n_rows, usecols=columns, dtype=dtypes, low_memory=False
            ) as chunks:
                yield from (chunk for chunk in chunks if len(chunk))
        except CSV_ERRORS as error:
            raise self._invalid(error) from error

    def _check_header(self) -> None:
        """Check that the first line does not hold values, which would be lost as column names."""
        first_line = pd.read_csv(self.path, header=None, nrows=1, dtype=str).iloc[0]
        numbers = pd.to_numeric(first_line, errors="coerce")
        if len(numbers) and numbers.notna().all() and not (np.diff(numbers) > 0).all():
            raise InputError(
                f"the first line of {self.path} is {first_line.iloc[0]}, {first_line.iloc[1]}, "
                "..., which look like values, not like column names. Insert a line with the column "
                "names above it."
            )

    def _invalid(self, error: Exception) -> InputError:
        return InputError(
            f"{self.path} is not a table of comma-separated values ({str(error).strip()}). Save it "
            "as CSV, in UTF-8, with the column names in the first line."
        )


class ParquetTable:
    """A Parquet file or a folder of Parquet files. Needs pyarrow."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> pd.DataFrame:
        """Return the whole table."""
        try:
            return pd.read_parquet(self.path)
        except ImportError as error:
            raise ImportError(NO_PYARROW) from error
        except (ValueError, OSError) as error:
            raise self._invalid(error) from error

    def empty(self) -> pd.DataFrame:
        """Return the columns and the index of the table, without any rows."""
        frame: pd.DataFrame = self._dataset().schema.empty_table().to_pandas()
        return frame

    def chunks(
        self, n_rows: int, columns: list[str] | None = None, dtypes: dict[str, Any] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the table in chunks of at most `n_rows`; the file's own dtypes apply."""
        pyarrow, dataset = _import_pyarrow(), self._dataset()
        # Reading ahead by one batch only, and caching nothing; or memory grows with the file.
        options = {
            "batch_size": n_rows,
            "batch_readahead": 1,
            "fragment_readahead": 1,
            "use_threads": False,
            "fragment_scan_options": pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False),
        }
        try:
            for batches in _group(dataset.to_batches(columns=columns, **options), n_rows):
                chunk = pyarrow.Table.from_batches(batches).to_pandas()
                yield _without_categories(chunk)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise self._invalid(error) from error

    def _dataset(self) -> Any:
        pyarrow = _import_pyarrow()
        try:
            return pyarrow.dataset.dataset(self.path, format="parquet", partitioning="hive")
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise self._invalid(error) from error

    def _invalid(self, error: Exception) -> InputError:
        return InputError(
            f"{self.path} is not a Parquet file ({str(error).strip()}). It may be damaged, or have "
            "another format; write it again."
        )


def _import_pyarrow() -> Any:
    try:
        import_module("pyarrow.dataset")
    except ImportError as error:
        raise ImportError(NO_PYARROW) from error
    return import_module("pyarrow")


def _group(batches: Iterable[Any], n_rows: int) -> Iterator[list[Any]]:
    """Group batches up to `n_rows` rows, as a file with small row groups has small batches."""
    group: list[Any] = []
    for batch in batches:
        if group and sum(map(len, group)) + len(batch) > n_rows:
            yield group
            group = []
        if len(batch):
            group.append(batch)
    if group:
        yield group


def _without_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Replace categorical columns by their values, as chunks may have different categories."""
    dtypes = {
        name: column.cat.categories.dtype
        for name, column in frame.items()
        if isinstance(column.dtype, pd.CategoricalDtype)
    }
    return frame.astype(dtypes) if dtypes else frame


TABLES: dict[str, type[CsvTable] | type[ParquetTable]] = {
    ".csv": CsvTable,
    ".parquet": ParquetTable,
}
