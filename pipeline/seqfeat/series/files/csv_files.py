"""CSV files as pandas frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.exceptions import InputError

__all__ = ["CsvTable"]

CSV_ERRORS = (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError)
MISSING = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"]
MISSING += ["1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]


class CsvTable:
    """Comma-separated values with a header line, compressed or not."""

    has_dtypes = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, keys: Sequence[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the whole table, by default with all columns."""
        try:
            self._check_header()
            # Parsed in one go; otherwise a column could be of one dtype in one chunk, and of
            # another in the next.
            return pd.read_csv(self.path, usecols=columns, low_memory=False, **self._cells(keys))
        except CSV_ERRORS as error:
            raise self._invalid(error) from error

    def empty(self, keys: Sequence[str]) -> pd.DataFrame:
        """Return the columns of the table, without any rows."""
        try:
            self._check_header()
            return pd.read_csv(self.path, nrows=0)
        except CSV_ERRORS as error:
            raise self._invalid(error) from error

    def chunks(
        self,
        n_rows: int,
        keys: Sequence[str],
        columns: Sequence[str] | None = None,
        dtypes: dict[str, Any] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield the table in chunks of at most `n_rows`."""
        try:
            self._check_header()
            with pd.read_csv(
                self.path,
                chunksize=n_rows,
                usecols=columns,
                low_memory=False,
                **self._cells(keys),
            ) as chunks:
                yield from (chunk for chunk in chunks if len(chunk))
        except CSV_ERRORS as error:
            raise self._invalid(error) from error

    def _cells(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return how cells are read: keys as text, of which only an empty cell is missing."""
        names = pd.read_csv(self.path, nrows=0).columns
        missing = {name: [""] if name in keys else MISSING for name in names}
        return {
            "dtype": dict.fromkeys(set(keys) & set(names), str),
            "na_values": missing,
            "keep_default_na": False,
        }

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
