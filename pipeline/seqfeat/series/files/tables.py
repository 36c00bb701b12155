"""CSV and Parquet files as pandas frames: whole, in chunks of rows, or without any rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pandas as pd

from seqfeat.series.files.csv_files import CsvFormat, CsvTable
from seqfeat.series.files.parquet_files import ParquetTable

__all__ = ["TABLES", "Table", "format_suffix", "open_table"]

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
TABLES = (*TEXT_SUFFIXES, ".parquet")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


class Table(Protocol):
    """A file, or a folder of files, that holds one table.

    `keys` are the names of the columns that hold ids, time points and labels. A format without
    dtypes returns them as text, exactly as written, and all other columns as numbers. Columns
    that a file keeps as an index are returned as columns if they are among the keys.
    """

    path: Path
    has_dtypes: bool
    """Whether the file says which of the keys are text and which are numbers."""

    @property
    def holds_lists(self) -> bool:
        """Whether there are cells that hold lists."""

    def read(self, keys: Sequence[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the whole table, by default with all columns."""

    def empty(self, keys: Sequence[str]) -> pd.DataFrame:
        """Return the columns and the index of the table, without any rows."""

    def chunks(
        self,
        n_rows: int,
        keys: Sequence[str],
        columns: Sequence[str] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield the table in chunks of at most `n_rows`, by default with all columns."""


def open_table(path: Path, form: CsvFormat | None = None) -> Table:
    """Return the table in a file, in the format that its suffix stands for.

    `form` says how a CSV file is written.
    """
    if format_suffix(path) in TEXT_SUFFIXES:
        return CsvTable(path, form)
    return ParquetTable(path)


def format_suffix(path: Path) -> str:
    """Return the suffix that stands for the format of a file, without that of a compression.

    A folder that contains Parquet files has their suffix.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = suffixes[-1] if suffixes else ""
    if path.is_dir() and next(path.rglob("*.parquet"), None) is not None:
        return ".parquet"
    inner = suffixes[-2] if len(suffixes) > 1 else ""
    return inner if last in COMPRESSED and inner in TEXT_SUFFIXES else last
