"""CSV files as pandas frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.exceptions import InputError

__all__ = ["CsvTable"]

CSV_ERRORS = (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError)


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
