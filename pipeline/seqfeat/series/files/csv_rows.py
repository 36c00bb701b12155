"""The rows of a CSV file, each checked to have as many fields as the header."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqfeat.exceptions import InputError

__all__ = ["CheckedFile", "RowBlock", "checked_rows"]

DIGITS = re.compile(r"[+-]?\d+")


class RowBlock(NamedTuple):
    """Some rows as text, and the line in the file, from 1, in which each of them begins."""

    text: bytes
    lines: NDArray[np.int64]


class CheckedFile(io.RawIOBase):
    """Rows as a file that pandas can read."""

    def __init__(self, blocks: Iterable[RowBlock]) -> None:
        self._blocks = iter(blocks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the current block goes; 0 bytes are the end of the file."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block.text)
        n_bytes = min(len(buffer), len(self._rest))
        buffer[:n_bytes] = self._rest[:n_bytes]
        self._rest = self._rest[n_bytes:]
        return n_bytes


def checked_rows(
    blocks: Iterable[bytes],
    path: Path,
    separator: str,
    n_fields: int,
    *,
    first_line: int = 1,
    skips_spaces: bool = False,
) -> Iterator[RowBlock]:
    """Yield rows that all have `n_fields` fields.

    Fields beyond those are dropped if they are empty, and so are blank lines.

    Parameters
    ----------
    blocks : iterable of bytes
        UTF-8 in blocks of whole lines, without the header.
    path : Path
        The file, for errors.
    separator : str
        One character.
    n_fields : int
        The number of columns.
    first_line : int, default=1
        The line of the file with which the first block begins.
    skips_spaces : bool, default=False
        Whether spaces behind a separator are not part of a field.

    Raises
    ------
    InputError
        If a row has another number of fields, or a quote is not closed.
    """
    checker = _Checker(path, separator, n_fields, first_line, skips_spaces)
    held = b""
    for block in blocks:
        rows, held = checker.check(held + block)
        if len(rows.lines):
            yield rows
    if held:
        rows, _ = checker.check(held, is_last=True)
        yield rows


class _Checker:
    """Counts the fields of rows, and knows which row and line comes next."""

    def __init__(
        self, path: Path, separator: str, n_fields: int, first_line: int, skips_spaces: bool
    ) -> None:
        self.path, self.separator, self.n_fields = path, separator, n_fields
        self.skips_spaces = skips_spaces
        self.row, self.line = 0, first_line
        mark = re.escape(separator.encode())
        self._quoted = re.compile(
            rb"(?<=[\n" + mark + rb'])"[^"]*(?:""[^"]*)*"(?=[\r\n' + mark + rb"]|\Z)"
        )

    def check(self, block: bytes, *, is_last: bool = False) -> tuple[RowBlock, bytes]:
        """Return the rows of a block, and the beginning of one that goes on in the next."""
        rows = self._check_plain(block)
        held = b""
        if rows is None:
            rows, held = self._check_quoted(block, is_last=is_last)
        self.row += len(rows.lines)
        self.line += block.count(b"\n") - held.count(b"\n")
        return rows, held

    def _check_plain(self, block: bytes) -> RowBlock | None:
        """Count separators at once for all rows; None if quotes make it impossible."""
        if b"\r" in block and b"\r" in block.replace(b"\r\n", b""):
            # pandas ends a line at a carriage return, too.
            return None
        counted = block
        if b'"' in block:
            counted = self._quoted.sub(b"", b"\n" + block)[1:]
            if b'"' in counted or counted.count(b"\n") != block.count(b"\n"):
                return None
        characters = np.frombuffer(counted, np.uint8)
        ends = np.flatnonzero(characters == ord("\n"))
        if not counted.endswith(b"\n"):
            ends = np.append(ends, len(counted))
        separators = np.flatnonzero(characters == ord(self.separator))
        n_fields = 1 + np.diff(np.searchsorted(separators, ends), prepend=0)
        lines = self.line + np.arange(len(ends))
        # A blank line has one field at most.
        if self.n_fields > 1 and (n_fields == self.n_fields).all():
            return RowBlock(block, lines)
        return self._mend(block, lines, n_fields) if counted is block else None

    def _mend(self, block: bytes, lines: NDArray[Any], n_fields: NDArray[Any]) -> RowBlock:
        """Drop blank lines, and empty fields at the end of rows."""
        mark = self.separator.encode()
        texts = block.removesuffix(b"\n").split(b"\n")
        is_row = np.ones(len(texts), dtype=bool)
        for place in np.flatnonzero((n_fields != self.n_fields) | (n_fields == 1)):
            text = texts[place]
            if n_fields[place] == 1 and not text.strip():
                is_row[place] = False
            elif n_fields[place] != self.n_fields:
                fields = text.rstrip(b"\r").split(mark)
                if any(map(bytes.strip, fields[self.n_fields :])) or len(fields) < self.n_fields:
                    row = self.row + int(is_row[:place].sum())
                    raise self._wrong_count([field.decode() for field in fields], row, lines[place])
                texts[place] = mark.join(fields[: self.n_fields])
        kept = (text for text, is_kept in zip(texts, is_row, strict=True) if is_kept)
        return RowBlock(b"".join(text + b"\n" for text in kept), lines[is_row])

    def _check_quoted(self, block: bytes, *, is_last: bool) -> tuple[RowBlock, bytes]:
        """Read rows one by one, as a quoted field may contain separators and line ends."""
        physical = io.StringIO(block.decode(), newline="").readlines()
        feed = _Feed(physical)
        reader = csv.reader(feed, delimiter=self.separator, skipinitialspace=self.skips_spaces)
        kept: list[str] = []
        lines: list[int] = []
        while feed.n_read < len(physical):
            start = feed.n_read
            try:
                fields = next(reader)
            except csv.Error as error:
                raise self._unclosed(self.line + start) from error
            if feed.is_exhausted:
                if is_last:
                    raise self._unclosed(self.line + start)
                return self._joined(kept, lines), "".join(physical[start:]).encode()
            text = "".join(physical[start : feed.n_read])
            if len(fields) <= 1 and not text.strip():
                continue
            if len(fields) != self.n_fields:
                if len(fields) < self.n_fields or any(map(str.strip, fields[self.n_fields :])):
                    raise self._wrong_count(fields, self.row + len(lines), self.line + start)
                text = self._written(fields[: self.n_fields])
            kept.append(text)
            lines.append(self.line + start)
        return self._joined(kept, lines), b""

    def _joined(self, texts: list[str], lines: list[int]) -> RowBlock:
        return RowBlock("".join(texts).encode(), np.array(lines, dtype=np.int64))

    def _written(self, fields: list[str]) -> str:
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerow(fields)
        return text.getvalue()

    def _unclosed(self, line: int) -> InputError:
        return InputError(
            f"{self.path}, line {line}: a quote is opened and not closed. Close it, or write two "
            "quotes for one that is part of the text."
        )

    def _wrong_count(self, fields: list[str], row: int, line: int) -> InputError:
        n_found = len(fields)
        while n_found > self.n_fields and not fields[n_found - 1].strip():
            n_found -= 1
        message = (
            f"{self.path}, row {row} (line {line}) has {n_found} field{'s'[: n_found != 1]} where "
            f"the header has {self.n_fields}, separated by {self.separator!r}. "
        )
        if n_found < self.n_fields:
            return InputError(
                f"{message}Complete the row, with empty fields for missing values. If another "
                "character separates the fields, pass it as separator=..."
            )
        pairs = itertools.pairwise(fields)
        n_pairs = sum(
            bool(DIGITS.fullmatch(left.strip())) and right.strip().isdecimal()
            for left, right in pairs
        )
        if self.separator == "," and 0 < n_found - self.n_fields <= n_pairs:
            return InputError(
                f"{message}If the comma is the decimal sign, save the file with another separator "
                "and pass both, such as separator=';' and decimal=','. Otherwise correct the row."
            )
        if row == 0 and n_found == self.n_fields + 1:
            return InputError(
                f"{message}If every row begins with its name or number, which the header does not "
                "count, as R writes it, put a name for it before the others in the header. "
                f"Otherwise correct the row: a field that contains {self.separator!r} has to be in "
                "quotes. If another character separates the fields, pass it as separator=..."
            )
        return InputError(
            f"{message}Correct the row: a field that contains {self.separator!r} has to be in "
            "quotes. If another character separates the fields, pass it as separator=..."
        )


class _Feed:
    """Lines for a `csv.reader`, which asks for one too many if a quote is not closed."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self.n_read = 0
        self.is_exhausted = False

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if self.n_read == len(self._lines):
            self.is_exhausted = True
            raise StopIteration
        self.n_read += 1
        return self._lines[self.n_read - 1]
