"""How a CSV file is written, recognized from its first rows where that is certain."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.files.csv_text import text_blocks

__all__ = ["COMMA_NUMBER", "POINT_NUMBER", "CsvFormat", "Dialect", "recognize"]

N_ROWS = 50
"""Rows after the header from which everything is recognized."""

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
RECOGNIZED = (",", ";", "\t", "|")
"""The separators that ``"auto"`` knows, apart from runs of white space between numbers."""

COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
AMBIGUOUS_NUMBER = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
"""With decimal commas as well as with commas between thousands."""
POINT_NUMBER = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?")
NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)", re.IGNORECASE)
QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*"')
EXCEL_HINT = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
ARCHIVE_SUFFIXES = {".tsv", ".txt"}
FEW_COLUMNS = 10


@dataclass(frozen=True)
class CsvFormat:
    """What a user says about how a CSV file is written; ``"auto"`` recognizes it.

    Parameters
    ----------
    separator : str, default="auto"
        The character between fields, or ``" "`` for any white space.
    decimal : str, default="auto"
        The decimal sign, ``"."`` or ``","``.
    encoding : str, default="auto"
        The encoding of the text.
    header : "auto" or bool, default="auto"
        Whether the first line holds the names of the columns. Without it they are numbered.
    na_values : sequence of str, default=()
        Further texts that stand for a missing value.
    """

    separator: str = "auto"
    decimal: str = "auto"
    encoding: str = "auto"
    header: bool | str = "auto"
    na_values: Sequence[str] = ()

    def __post_init__(self) -> None:
        separator = SEPARATORS.get(self.separator, self.separator)
        object.__setattr__(self, "separator", separator)
        if not isinstance(separator, str) or (separator != "auto" and not _is_separator(separator)):
            raise InputError(
                f"separator={self.separator!r}; pass one character, such as ',', ';', '\\t' or "
                "'|', or ' ' for any white space, or 'auto'."
            )
        if self.decimal not in ("auto", ".", ","):
            raise InputError(f"decimal={self.decimal!r}; pass '.', ',' or 'auto'.")
        if not (self.header == "auto" or isinstance(self.header, bool)):
            raise InputError(f"header={self.header!r}; pass True, False or 'auto'.")
        if isinstance(self.na_values, str) or not all(isinstance(it, str) for it in self.na_values):
            raise InputTypeError(
                f"na_values={self.na_values!r}; pass a list of texts, such as na_values=['?']."
            )
        object.__setattr__(self, "na_values", tuple(self.na_values))


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes
    ----------
    separator : str
        As in `CsvFormat`, but known.
    names : list of str
        The names of the columns.
    n_header_lines : int
        The lines before the first row.
    skips_spaces : bool
        Whether the spaces behind separators belong to no field.
    has_header : bool
        Whether the file has a line of names.
    comma_columns, point_columns : frozenset of str
        Columns in which the first rows have a decimal comma that cannot stand between
        thousands, and a decimal point.
    text_columns : frozenset of str
        Columns without a number among the first rows.
    is_archive : bool
        Whether it is written as the UCR archive does: no header, and the label comes first.
    """

    separator: str
    names: list[str]
    n_header_lines: int
    skips_spaces: bool = False
    has_header: bool = True
    is_archive: bool = False
    comma_columns: frozenset[str] = frozenset()
    point_columns: frozenset[str] = frozenset()
    text_columns: frozenset[str] = frozenset()


def recognize(path: Path, given: CsvFormat) -> Dialect:
    """Return how a file is written: what is given, and what its first rows are certain about.

    Raises
    ------
    InputError
        If the file is empty, or its first rows leave open how it is written.
    """
    sample = _Sample.read(path, given.encoding)
    n_skipped, hint = sample.excel_hint()
    sample = sample.without_lines(n_skipped)
    separator = hint if given.separator == "auto" and hint else given.separator
    if separator == "auto":
        separator = _recognize_separator(path, sample, given)
    skips_spaces = _has_spaces_behind_separators(sample, separator)
    records = sample.records(separator, skips_spaces=skips_spaces)
    has_header = given.header is True
    is_archive = False
    if given.header == "auto":
        has_header = not _looks_like_values(records)
        is_archive = not has_header and _is_archive(path, records)
        if not (has_header or is_archive):
            raise _no_header(path, records[0])
    if has_header:
        # Names have no spaces around them, so a quote behind one is a quote.
        names = _column_names(path, sample.records(separator, skips_spaces=True)[0])
        n_skipped += sample.n_lines_of_first_record(separator)
    else:
        names = [str(place) for place in range(len(_without_empty_end(records[0])))]
    rows = records[1:] if has_header else records
    return Dialect(
        separator,
        names,
        n_skipped,
        skips_spaces=skips_spaces,
        has_header=has_header,
        is_archive=is_archive,
        comma_columns=_columns_with(_is_comma_number, names, rows),
        point_columns=_columns_with(POINT_NUMBER.fullmatch, names, rows),
        text_columns=frozenset(names) - _columns_with(NUMBER.fullmatch, names, rows),
    )


def _is_separator(text: str) -> bool:
    return len(text) == 1 and text.isascii() and not text.isalnum() and text not in '"\r\n.-+'


class _Sample:
    """The first lines of a file, and whether they are all that it has."""

    def __init__(self, text: str, *, is_whole: bool) -> None:
        self.text, self.is_whole = text, is_whole

    @classmethod
    def read(cls, path: Path, encoding: str) -> _Sample:
        """Read as many blocks as hold enough lines."""
        blocks = text_blocks(path, encoding)
        taken: list[bytes] = []
        n_lines = 0
        is_whole = True
        for block in blocks:
            taken.append(block)
            n_lines += block.count(b"\n")
            if n_lines > N_ROWS:
                is_whole = next(blocks, None) is None
                break
        text = b"".join(taken).decode()
        if not text.strip():
            raise InputError(f"{path} is empty; a table needs a line of names, and rows.")
        return cls(text, is_whole=is_whole)

    def excel_hint(self) -> tuple[int, str]:
        """Return the number of lines, 0 or 1, that say to Excel what the separator is, and it."""
        found = EXCEL_HINT.fullmatch(self.text.partition("\n")[0].strip("\r"))
        return (1, found[1]) if found else (0, "")

    def without_lines(self, n_lines: int) -> _Sample:
        """Return the sample without its first lines."""
        lines = self.text.split("\n", n_lines)
        return _Sample(lines[-1], is_whole=self.is_whole)

    def records(self, separator: str, *, skips_spaces: bool = False) -> list[list[str]]:
        """Return the fields of the first rows, blank ones left out."""
        if separator == " ":
            rows = map(str.split, self.text.split("\n"))
            return list(itertools.islice(filter(None, rows), N_ROWS + 1))
        reader = csv.reader(
            io.StringIO(self.text, newline=""), delimiter=separator, skipinitialspace=skips_spaces
        )
        records: list[list[str]] = []
        try:
            for record in reader:
                if len(record) > 1 or "".join(record).strip():
                    records.append(record)
                if len(records) > N_ROWS:
                    return records
        except csv.Error:
            # A quote that is not closed; the check of all rows names it.
            return records or [[""]]
        # The last record may be cut off within a quoted field.
        return records if self.is_whole or len(records) < 2 else records[:-1]

    def n_lines_of_first_record(self, separator: str) -> int:
        """Return how many lines the header takes, with blank ones before it."""
        if separator == " ":
            lines = self.text.split("\n")
            return 1 + next(place for place, line in enumerate(lines) if line.strip())
        reader = csv.reader(
            io.StringIO(self.text, newline=""), delimiter=separator, skipinitialspace=True
        )
        for record in reader:
            if len(record) > 1 or "".join(record).strip():
                break
        return reader.line_num


def _without_empty_end(record: list[str]) -> list[str]:
    end = len(record)
    while end and not record[end - 1].strip():
        end -= 1
    return record[:end]


# The separator


def _recognize_separator(path: Path, sample: _Sample, given: CsvFormat) -> str:
    fitting = [separator for separator in RECOGNIZED if _fits(sample, separator)]
    if "," in fitting and len(fitting) > 1:
        others = [mark for mark in fitting if mark != ","]
        if given.decimal == "," or any(_leaves_decimal_commas(sample, mark) for mark in others):
            fitting = others
    if len(fitting) > 1 and "\t" in fitting and ".tsv" in _suffixes(path):
        return "\t"
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        raise _uncertain(path, fitting)
    if _fits_white_space(sample):
        return " "
    # No separator gives all rows as many fields as the header; the check of all rows says which.
    in_header = [mark for mark in RECOGNIZED if len(sample.records(mark)[0]) > 1]
    if not in_header:
        _check_preamble(path, sample)
    if len(in_header) > 1:
        shares = [_share_of_fitting_rows(sample, mark) for mark in in_header]
        best = [mark for mark, share in zip(in_header, shares, strict=True) if share == max(shares)]
        if len(best) > 1:
            raise _uncertain(path, best)
        in_header = best
    return in_header[0] if in_header else ","


def _leaves_decimal_commas(sample: _Sample, separator: str) -> bool:
    """Whether every comma in a row is the decimal sign of a number, if a mark separates fields."""
    cells = [cell.strip() for row in sample.records(separator)[1:] for cell in row if "," in cell]
    return bool(cells) and all(map(COMMA_NUMBER.fullmatch, cells))


def _fits(sample: _Sample, separator: str) -> bool:
    """Whether a separator divides every row into as many fields as the header, at least 2."""
    return _share_of_fitting_rows(sample, separator) == 1


def _share_of_fitting_rows(sample: _Sample, separator: str) -> float:
    header, *rows = sample.records(separator, skips_spaces=True)
    n_fields = len(_without_empty_end(header))
    if n_fields < 2:
        return 0.0
    fit = [len(_without_empty_end(row)) <= n_fields <= len(row) for row in rows]
    return sum(fit) / len(fit) if fit else 1.0


def _fits_white_space(sample: _Sample) -> bool:
    """Whether every row has equally many numbers, at least 2, with white space between them."""
    records = sample.records(" ")
    return (
        len(records[0]) > 1
        and len({len(record) for record in records}) == 1
        and all(NUMBER.fullmatch(cell) for record in records for cell in record)
    )


def _check_preamble(path: Path, sample: _Sample) -> None:
    """Check that there are no lines of another kind above the header."""
    for mark in RECOGNIZED:
        counts = [len(_without_empty_end(record)) for record in sample.records(mark)]
        usual = max(set(counts), key=counts.count)
        if usual > 1 and 2 * counts.count(usual) > len(counts):
            raise InputError(
                f"the first line of {path} has {counts[0]} field where most lines have {usual}, "
                f"separated by {mark!r}. The first line has to hold the names of the columns: "
                "delete what stands above them."
            )


def _uncertain(path: Path, separators: list[str]) -> InputError:
    *others, last = map(repr, separators)
    return InputError(
        f"{path} may be separated by {', '.join(others)} or {last}: each gives the first rows as "
        f"many fields as the header. Pass the right one, for example separator={last}."
    )


# What is in the columns


def _is_comma_number(cell: str) -> bool:
    return bool(COMMA_NUMBER.fullmatch(cell)) and not AMBIGUOUS_NUMBER.fullmatch(cell)


def _columns_with(
    is_it: Callable[[str], object], names: list[str], rows: list[list[str]]
) -> frozenset[str]:
    """Return the columns in which there is a certain kind of cell."""
    return frozenset(
        name
        for place, name in enumerate(names)
        if any(is_it(row[place].strip()) for row in rows if row[place:])
    )


# The header


def _looks_like_values(records: list[list[str]]) -> bool:
    """Whether a first line holds numbers that are no names of columns.

    Names may be numbers: whole ones that increase, or others at even distances. A text that comes
    again below it is a label or an id.
    """
    cells = [cell.strip() for cell in records[0]]
    filled = [cell for cell in cells if cell]
    numbers = [cell.replace(",", ".") for cell in filled if NUMBER.fullmatch(cell)]
    if len(numbers) < 2 or 2 * len(numbers) < len(filled):
        return False
    for place, cell in enumerate(cells):
        below = {row[place].strip() for row in records[1:] if row[place:]}
        if cell and not NUMBER.fullmatch(cell) and cell in below:
            return True
    gaps = np.diff([float(number) for number in numbers])
    if not (np.isfinite(gaps).all() and (gaps > 0).all()):
        return True
    is_whole = all(number.lstrip("+-").isdecimal() for number in numbers)
    return not (is_whole or np.allclose(gaps, gaps.mean(), rtol=1e-3))


def _is_archive(path: Path, records: list[list[str]]) -> bool:
    """Whether a file without a header holds a label and the values of one series in each row."""
    if not ARCHIVE_SUFFIXES & _suffixes(path):
        return False
    rows = [[cell.strip().replace(",", ".") for cell in record] for record in records]
    if not all(not cell or NUMBER.fullmatch(cell) for row in rows for cell in row):
        return False
    first = [float(row[0]) if row[0] else np.nan for row in rows]
    if not all(np.isfinite(number) and number == int(number) for number in first):
        return False
    is_counter = len(rows) > 2 and (np.diff(first) > 0).all() and len(rows[0]) < FEW_COLUMNS
    return not is_counter and any("." in cell for row in rows for cell in row[1:])


def _suffixes(path: Path) -> set[str]:
    return {suffix.lower() for suffix in path.suffixes}


def _no_header(path: Path, record: list[str]) -> InputError:
    shown = ", ".join([cell.strip() for cell in record[:2]] + ["..."] * (len(record) > 2))
    return InputError(
        f"the first line of {path} is {shown}, which look like values, not like column names. Pass "
        "header=False, which numbers the columns 0, 1, 2, ..., or header=True if they are names."
    )


def _column_names(path: Path, record: list[str]) -> list[str]:
    """Return the names of the columns, without spaces around them; nameless ones as in pandas."""
    names = [
        name.strip() or f"Unnamed: {place}" for place, name in enumerate(_without_empty_end(record))
    ]
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        if name in places:
            raise InputError(
                f"{path}: columns {places[name]} and {place}, counted from 0, are both called "
                f"{name!r}. Rename one of them."
            )
        places[name] = place
    return names


def _has_spaces_behind_separators(sample: _Sample, separator: str) -> bool:
    """Whether a space follows every separator that is not within quotes or at the end of a row."""
    if separator == " ":
        return False
    lines = sample.text.split("\n")[: N_ROWS + 1]
    text = QUOTED.sub('""', "\n".join(lines if sample.is_whole else lines[:-1]))
    mark = re.escape(separator)
    return separator + " " in text and not re.search(rf"{mark}(?! |[ \r]*(\n|\Z))", text)
