"""CSV and Parquet files as pandas frames: whole, in chunks of rows, or without any rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from seqfeat.series.files.csv_files import CsvTable
from seqfeat.series.files.parquet_files import ParquetTable

__all__ = ["TABLES", "Table", "format_suffix", "open_table"]

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


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


TABLES: dict[str, type[CsvTable] | type[ParquetTable]] = {
    ".csv": CsvTable,
    ".parquet": ParquetTable,
}
