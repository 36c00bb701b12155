"""The choice of the reading that reads every row of a table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.clock.column import TimeColumn
from seqfeat.series.clock.reading import Reading, format_reading
from seqfeat.series.clock.readings import COMMA, READINGS
from seqfeat.series.clock.texts import Mask, Texts, match_shape

__all__ = ["Readings"]


@dataclass
class _Tally:
    """How many rows a reading accepts, and the first that it does not: row, value, its readings."""

    n_accepted: int = 0
    failure: tuple[int, str, list[str]] | None = None


class Readings:
    """Which readings accept every row of a table, after the parts of it that have been added.

    Parameters
    ----------
    time_format : str, default=None
        The only reading to try for texts and whole numbers, in the codes of ``strptime``.
    """

    def __init__(self, time_format: str | None = None) -> None:
        self.time_format = time_format
        self.candidates = READINGS if time_format is None else (format_reading(time_format),)
        self.n_rows = 0
        self._tallies = {reading.name: _Tally() for reading in self.candidates}
        self._name: Any = None
        self._dtype: Any = None
        self._example: Texts | None = None

    def add(self, column: TimeColumn) -> None:
        """Add a part of the table."""
        answers = {reading.name: reading.accepts(column) for reading in self.candidates}
        n_rows = len(column.times)
        for name, tally in self._tallies.items():
            is_accepted = answers[name]
            if isinstance(is_accepted, bool):
                tally.n_accepted += n_rows if is_accepted else 0
                row = 0
            else:
                tally.n_accepted += int(np.count_nonzero(is_accepted))
                row = int(np.argmin(is_accepted))
                is_accepted = bool(is_accepted.all())
            if not is_accepted and tally.failure is None:
                readings = [other for other in answers if _answer(answers[other], row)]
                value = column.value(column.first_row + row)
                tally.failure = column.first_row + row, value, readings
        self.n_rows += n_rows
        self._name, self._dtype = column.name, column.times.dtype
        if self._example is None and column.texts is not None:
            # Not all texts, as scans of parts of a table are sent to other processes.
            texts = column.texts.values
            example = next((text for text in texts if "," in text), texts[0])
            self._example = Texts([example], np.zeros(1, dtype=np.int64))

    def merge(self, other: Readings) -> None:
        """Add the rows that other readings have seen, as those that follow."""
        for name, tally in self._tallies.items():
            theirs = other._tallies[name]
            if tally.failure is None and theirs.failure is not None:
                row, value, readings = theirs.failure
                tally.failure = self.n_rows + row, value, readings
            tally.n_accepted += theirs.n_accepted
        self.n_rows += other.n_rows
        self._name, self._dtype = other._name, other._dtype
        self._example = self._example or other._example

    def possible(self) -> list[Reading]:
        """Return the readings that accept every row so far, in their order."""
        return [one for one in self.candidates if self._tallies[one.name].failure is None]

    def chosen(self) -> Reading:
        """Return the reading of the table.

        Raises
        ------
        InputTypeError
            If no reading accepts every row.
        InputError
            If it cannot be told which of two readings is meant.
        """
        possible = self.possible()
        if not possible:
            raise self._unreadable()
        first, *rest = possible
        rivals = [
            one for one in rest if one.depends_on is not None and one.depends_on == first.depends_on
        ]
        if rivals:
            raise self._ambiguous(first, rivals[0])
        return first

    def _unreadable(self) -> InputTypeError:
        """Return the error about the first row that the most plausible reading does not accept."""
        best = max(self.candidates, key=lambda one: self._tallies[one.name].n_accepted)
        tally = self._tallies[best.name]
        assert tally.failure is not None, "no reading accepts every row"
        row, value, readings = tally.failure
        if self.time_format is not None:
            return InputTypeError(
                f"row {row} has {value} in column {self._name!r}, which does not match "
                f"time_format={self.time_format!r}. Correct it, or pass the format of all rows."
            )
        if tally.n_accepted == 0:
            return InputTypeError(
                f"the time points in {self._name!r} have dtype {self._dtype} (row {row} has "
                f"{value}); time points are numbers, dates or durations. If they are dates in "
                "another form, say which, such as time_format='%y%m%d'; if the rows are in order, "
                "pass time=None."
            )
        what, advice = "", "Correct it, or drop the row."
        if best.name in [f"{one} with a zone" for one in readings]:
            what, advice = " without a zone", "Give all of them a zone, or none."
        elif f"{best.name} with a zone" in readings:
            what, advice = " with a zone", "Give all of them a zone, or none."
        elif readings:
            what, advice = f" ({readings[0]})", "Write all of them in one form."
        return InputTypeError(
            f"row {row} has {value}{what} in column {self._name!r}, but {tally.n_accepted} of "
            f"{self.n_rows} rows hold {best.name}. {advice}"
        )

    def _ambiguous(self, first: Reading, second: Reading) -> InputError:
        assert self._example is not None, "only texts are ambiguous"
        shape, text = self._example.shapes[0], self._example.values[0]
        both = f"{first.name}, or {second.name}"
        if first.depends_on == COMMA:
            advice = "Write them with a point before the fraction and without other marks."
        else:
            formats = [_as_format(one.patterns, shape) for one in (first, second)]
            advice = "Pass " + " or ".join(f"time_format={one!r}" for one in formats) + "."
        return InputError(
            f"the time points in {self._name!r}, such as {text!r}, may be {both}: "
            f"every row can be read as either. {advice}"
        )


def _answer(answer: Mask | bool, row: int) -> bool:
    return answer if isinstance(answer, bool) else bool(answer[row])


FORMAT_CODES = {
    "year": "%Y",
    "month": "%m",
    "day": "%d",
    "hour": "%H",
    "minute": "%M",
    "second": "%S",
    "fraction": "%f",
}


def _as_format(patterns: tuple[str, ...], shape: str) -> str:
    """Return the `time_format` that stands for a pattern, for texts of a shape."""
    match = match_shape(patterns, shape)
    assert match is not None, "the reading accepts the shape"
    codes = dict(FORMAT_CODES)
    if match["half"]:
        codes["hour"] = "%I"
        shape = re.sub(r"[AaPp]\.?[Mm]\.?", "%p", shape)
    if "zone_hour" in match.groupdict() and match["zone_hour"]:
        shape = shape[: match.start("sign")] + "%z"
    for name in sorted(codes, key=match.start, reverse=True):
        if match.start(name) >= 0:
            shape = shape[: match.start(name)] + codes[name] + shape[match.end(name) :]
    return shape
