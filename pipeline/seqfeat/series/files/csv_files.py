"""CSV files as pandas frames: keys as text, exactly as written, and all other columns as numbers.

A file is read in four steps, each in a file of its own: its bytes become UTF-8 (`csv_text`), its
first rows show how it is written (`csv_dialect`), every row is checked (`csv_rows`), and pandas
parses the cells, of which those that are neither a number nor missing are named here.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.runtime.visible_text import shorten
from seqfeat.series.files.csv_dialect import (
    COMMA_NUMBER,
    POINT_NUMBER,
    CsvFormat,
    Dialect,
    recognize,
)
from seqfeat.series.files.csv_rows import CheckedFile, RowBlock, checked_rows
from seqfeat.series.files.csv_text import text_blocks
from seqfeat.series.numbers import LARGEST_INTEGER

__all__ = ["CsvFormat", "CsvTable"]

MISSING = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"]
MISSING += ["1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
"""The words of pandas for a missing value; in a column of names they are names."""

BOOLEANS = {"true": 1.0, "false": 0.0}
LONG_INTEGER = re.compile(r"[+-]?\d{16,}")
GROUPED_NUMBER = re.compile(r"[+-]?\d{1,3}([., '\u00a0\u202f]\d{3})+([.,]\d+)?")
BEGINS_AS_NUMBER = re.compile(r"[+\-\u2212\u2013<>~$\u20ac\u00a3 ]*[.,]?\d")
MARK = re.compile(r"[^\w\s]{1,4}|[A-Za-z./]{1,4}|missing|unknown|none|no data", re.IGNORECASE)
"""Texts that people write for a missing value."""


class CsvTable:
    """Values separated by commas or other characters, compressed or not.

    Parameters
    ----------
    path : Path
        The file.
    form : CsvFormat, default=None
        How it is written; None recognizes everything.

    Attributes
    ----------
    time : str or None
        The key that holds time points, whose decimal commas become points.
    """

    has_dtypes = False
    holds_lists = False

    def __init__(self, path: Path, form: CsvFormat | None = None) -> None:
        self.path = path
        self.form = CsvFormat() if form is None else form
        self.time: str | None = None

    @cached_property
    def dialect(self) -> Dialect:
        """How the file is written."""
        return recognize(self.path, self.form)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return self.dialect.names

    def read(self, keys: Sequence[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the whole table, by default with all columns."""
        # Parsed in one go; otherwise a column could be of one dtype in one chunk, and of another
        # in the next.
        return next(self.chunks(None, keys, columns), self.empty(keys)[self._chosen(columns)])

    def empty(self, keys: Sequence[str]) -> pd.DataFrame:
        """Return the columns of the table, without any rows."""
        return pd.DataFrame({name: pd.Series(dtype=self._dtype(name, keys)) for name in self.names})

    def chunks(
        self,
        n_rows: int | None,
        keys: Sequence[str],
        columns: Sequence[str] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield the table in chunks of at most `n_rows`, or in one if that is None."""
        chosen = self._chosen(columns)
        cells = _Cells(self, n_rows, self.decimal_of(set(chosen) - set(keys)))
        for chunk in self._parse(n_rows, keys, chosen, cells.decimal):
            read_again = {name: self._key(chunk[name]) for name in chosen if name in keys}
            read_again |= {name: cells.numbers(chunk[name]) for name in cells.doubtful(chunk, keys)}
            cells.go_on(len(chunk))
            yield chunk.assign(**read_again)

    def decimal_of(self, columns: Iterable[str]) -> str:
        """Return the decimal sign of columns: a comma where it is certain, and none has a point."""
        if self.form.decimal != "auto":
            return self.form.decimal
        dialect, names = self.dialect, set(columns)
        has_comma = dialect.separator != "," and not names.isdisjoint(dialect.comma_columns)
        return "," if has_comma and names.isdisjoint(dialect.point_columns) else "."

    def line_of(self, row: int) -> int:
        """Return the line of the file, from 1, in which a row begins."""
        n_rows = 0
        for block in self._rows():
            if row < n_rows + len(block.lines):
                return int(block.lines[row - n_rows])
            n_rows += len(block.lines)
        raise IndexError(row)

    # Rows

    def _chosen(self, columns: Sequence[str] | None) -> list[str]:
        return self.names if columns is None else list(columns)

    def _dtype(self, name: str, keys: Sequence[str]) -> Any:
        return str if name in keys else np.float64

    def _rows(self) -> Iterator[RowBlock]:
        dialect = self.dialect
        blocks = _without_lines(text_blocks(self.path, self.form.encoding), dialect.n_header_lines)
        if dialect.separator == " ":
            blocks = map(_with_tabs, blocks)
        return checked_rows(
            blocks,
            self.path,
            self._separator,
            len(dialect.names),
            first_line=1 + dialect.n_header_lines,
            skips_spaces=dialect.skips_spaces,
        )

    @property
    def _separator(self) -> str:
        return "\t" if self.dialect.separator == " " else self.dialect.separator

    def _parse(
        self, n_rows: int | None, keys: Sequence[str], columns: list[str], decimal: str = "."
    ) -> Iterator[pd.DataFrame]:
        """Yield chunks as pandas reads them: keys as text, other columns as what they look like."""
        dialect = self.dialect
        missing = [*MISSING, *self.form.na_values]
        try:
            with pd.read_csv(
                io.BufferedReader(CheckedFile(self._rows()), 2**18),
                sep=self._separator,
                decimal=decimal,
                header=None,
                names=dialect.names,
                index_col=False,
                usecols=columns,
                dtype={name: str for name in columns if name in keys},
                na_values={name: [""] if name in keys else missing for name in columns},
                keep_default_na=False,
                skipinitialspace=dialect.skips_spaces,
                chunksize=n_rows,
                iterator=True,
                low_memory=False,
                # pandas' own parser is twice as fast, and a third of its numbers are the ones next
                # to those that are written.
                float_precision="round_trip",
                encoding="utf-8",
            ) as chunks:
                yield from (_in_order(chunk, columns) for chunk in chunks if len(chunk))
        except pd.errors.EmptyDataError:
            return
        except pd.errors.ParserError as error:
            raise InputError(
                f"{self.path} is not a table of values with separators ({str(error).strip()}). It "
                "may be damaged; save it again as CSV, in UTF-8."
            ) from error

    def _key(self, texts: pd.Series[Any]) -> pd.Series[Any]:
        """Return a key as it is meant, where that is not how it is written."""
        dialect = self.dialect
        if dialect.skips_spaces:
            texts = texts.str.strip()
        if dialect.is_archive and texts.name == self.names[0]:
            # The archive has labels such as 1.0000000e+00.
            return texts.map(lambda text: str(int(float(text))), "ignore")
        if texts.name == self.time and self.decimal_of([str(texts.name)]) == ",":
            is_number = texts.str.fullmatch(COMMA_NUMBER.pattern).fillna(value=False).astype(bool)
            return texts.where(~is_number, texts.str.replace(",", ".", regex=False))
        return texts


class _Cells:
    """The cells of values in one pass over a table: numbers, missing, or an error.

    Parameters
    ----------
    table : CsvTable
    n_rows : int or None
        The rows of a chunk.
    decimal : str
        The decimal sign.
    """

    def __init__(self, table: CsvTable, n_rows: int | None, decimal: str) -> None:
        self.table, self.n_rows, self.decimal = table, n_rows, decimal
        self.missing = {*MISSING, *table.form.na_values}
        self.first_row = self.number = 0
        self._texts: dict[str, Iterator[tuple[int, pd.DataFrame]]] = {}

    def go_on(self, n_rows: int) -> None:
        """Go on to the next chunk, after one of `n_rows`."""
        self.first_row += n_rows
        self.number += 1

    def doubtful(self, chunk: pd.DataFrame, keys: Sequence[str]) -> list[str]:
        """Return the columns of values with cells that are no numbers, or may have been rounded."""
        is_number = [dtype.kind in "iufb" for dtype in chunk.dtypes]
        is_doubtful = np.logical_not(is_number)
        # pandas rounds integers in silence if the column has an empty cell or a fraction, in this
        # part of the table or in one that it is joined to.
        numbers = chunk.loc[:, is_number].to_numpy(np.float64)
        is_doubtful[is_number] = (np.abs(numbers) >= LARGEST_INTEGER).any(axis=0)
        return [name for name in chunk.columns[is_doubtful] if name not in keys]

    def numbers(self, column: pd.Series[Any]) -> pd.Series[Any]:
        """Return a column as numbers, or raise the error for the first cell that is none."""
        if column.dtype.kind not in "iuf":
            return self._convert(column)
        self._convert(self._as_written(str(column.name)))
        return column

    def _as_written(self, name: str) -> pd.Series[Any]:
        """Return a column of this chunk as text, which is read once more in step with it."""
        if name not in self._texts:
            self._texts[name] = enumerate(self.table._parse(self.n_rows, [name], [name]))
        return next(chunk[name] for place, chunk in self._texts[name] if place == self.number)

    def _convert(self, column: pd.Series[Any]) -> pd.Series[Any]:
        codes, found = pd.factorize(column)
        texts = [str(text) for text in found]
        numbers = [self._as_number(text) for text in texts]
        wrong = [place for place, number in enumerate(numbers) if number is None]
        if wrong:
            row = int(np.argmax(np.isin(codes, wrong)))
            raise self._no_number(str(column.name), self.first_row + row, texts[codes[row]])
        values = np.append(np.array(numbers, dtype=np.float64), np.nan)
        return pd.Series(values[codes], index=column.index, name=column.name)

    def _as_number(self, text: str) -> float | None:
        text = text.strip()
        if text in self.missing:
            return np.nan
        if text.lower() in BOOLEANS:
            return BOOLEANS[text.lower()]
        if self.decimal == ",":
            text = "not a number" if "." in text else text.replace(",", ".")
        if "_" in text or not text.isascii():
            return None
        try:
            number = float(text)
        except ValueError:
            return None
        if LONG_INTEGER.fullmatch(text) and int(number) != int(text):
            return None
        return number

    def _no_number(self, name: str, row: int, text: str) -> InputError:
        place = f"row {row} (line {self.table.line_of(row)}), column {name!r}"
        text = text.strip()
        if LONG_INTEGER.fullmatch(text):
            return InputError(
                f"{place} holds the integer {text}, which float64 does not hold exactly. Subtract "
                "an offset, change its unit, or pass series_id=..., time=... or label=... if that "
                "is what it is."
            )
        if text == name:
            way_out = "The line repeats the header; delete it."
        else:
            # Not from the cells at hand, so that all parts of a table give the same advice.
            is_all_text = name in self.table.dialect.text_columns
            way_out = self._way_out(text, is_first=row == 0, is_all_text=is_all_text)
        return InputTypeError(
            f"{place} holds the text {shorten(text, 40)!r}; series hold real numbers. {way_out}"
        )

    def _way_out(self, text: str, *, is_first: bool, is_all_text: bool) -> str:
        is_grouped = GROUPED_NUMBER.fullmatch(text) is not None
        if self.decimal == "," and POINT_NUMBER.fullmatch(text):
            return (
                "The decimal sign of this file is the comma; write all numbers alike, or pass "
                "decimal='.' if it is the point."
            )
        if COMMA_NUMBER.fullmatch(text) and is_grouped and self.decimal == ".":
            return (
                "Its comma may be a decimal sign or stand between thousands: pass decimal=',' in "
                "the first case, and remove it in the second."
            )
        if COMMA_NUMBER.fullmatch(text) and self.decimal == ".":
            return "If the comma is the decimal sign, pass decimal=','."
        if is_grouped:
            return "Remove the signs between thousands."
        if MARK.fullmatch(text) and not (is_first and text.isalpha()) and not is_all_text:
            return f"If it stands for a missing value, pass na_values=[{text!r}]."
        if BEGINS_AS_NUMBER.match(text):
            return (
                "Correct the cell: a plain number, such as -1.5, without units and other signs, or "
                "nothing if the value is missing."
            )
        if is_first and not is_all_text:
            return (
                "If that line holds the units, or more of the header, delete it; the names of the "
                "columns take one line."
            )
        if is_all_text:
            return (
                "If it holds labels or ids, pass label=... or series_id=...; if this is a long "
                "table, pass series_id and time, and name the channels: channels=[...]. Otherwise "
                "drop the column."
            )
        return "Correct the cell, or leave it empty if the value is missing."


def _without_lines(blocks: Iterator[bytes], n_lines: int) -> Iterator[bytes]:
    """Yield blocks without the first lines of the file."""
    for block in blocks:
        n_here = min(n_lines, block.count(b"\n"))
        n_lines -= n_here
        rest = block.split(b"\n", n_here)[-1]
        if n_lines and not block.endswith(b"\n"):
            # The file ends with its header.
            return
        if rest:
            yield rest


def _with_tabs(block: bytes) -> bytes:
    """Return lines with a tab for every run of white space, and none at their ends."""
    return re.sub(rb"[ \t]+", b"\t", re.sub(rb"(?m)^[ \t]+|[ \t]+$", b"", block))


def _in_order(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return frame if frame.columns.tolist() == columns else frame[columns]
