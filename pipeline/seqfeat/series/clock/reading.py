"""One way to read a column of time points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.series.clock.column import Clock, TimeColumn
from seqfeat.series.clock.dates import ZONE, offset_seconds, read_dates
from seqfeat.series.clock.texts import Fields, Mask, Texts

__all__ = ["NUMBERS", "FormatReading", "Reading", "UnitReading", "format_reading"]

NUMBERS = "numbers"
"""The name of the reading that reads columns of numbers."""


@dataclass(frozen=True)
class Reading:
    """A way to read a column of time points.

    Attributes
    ----------
    name : str
        What the time points are, in the plural.
    patterns : tuple of str
        What the shapes of texts match, with a named group for each field.
    read_texts : callable
        Returns the clock of distinct texts.
    fits : callable or None
        Returns for fields whether their numbers fit this reading; None if any do.
    depends_on : str or None
        What tells this reading apart from others that may accept every row as well.
    """

    name: str
    patterns: tuple[str, ...]
    read_texts: Callable[[TimeColumn, Texts, tuple[str, ...]], Clock]
    fits: Callable[[Fields], Mask] | None = None
    depends_on: str | None = None

    def accepts(self, column: TimeColumn) -> Mask | bool:
        """Return which rows have the form of this reading, or one answer for all of them."""
        if column.clock is not None:
            return column.kind == self.name
        if column.numbers is not None and self.name == NUMBERS:
            return True
        texts = column.texts
        if texts is None:
            return False
        is_accepted = texts.have_shape(self.patterns)
        if not is_accepted.any():
            return False
        if self.fits is not None:
            is_accepted &= self.fits(texts.fields(self.patterns))
        return _over_rows(is_accepted, texts)

    def read(self, column: TimeColumn) -> Clock:
        """Return the clock of a column, of which this reading accepts all rows."""
        if column.clock is not None:
            return column.clock
        if column.numbers is not None and self.name == NUMBERS:
            return column.number_clock
        texts = column.texts
        assert texts is not None, "a reading accepts texts, or a dtype"
        return self.read_texts(column, texts, self.patterns).at(texts.codes)


@dataclass(frozen=True)
class UnitReading(Reading):
    """Durations with units, as pandas reads them."""

    def accepts(self, column: TimeColumn) -> Mask | bool:
        """Return which rows pandas can read as durations."""
        texts = column.texts
        if texts is None:
            return super().accepts(column)
        is_accepted = texts.have_shape(self.patterns)
        if not is_accepted.any():
            return False
        values = [
            text if is_one else None for text, is_one in zip(texts.values, is_accepted, strict=True)
        ]
        durations = pd.to_timedelta(pd.Index(values, dtype=object), errors="coerce")
        return _over_rows(~np.isnat(durations.to_numpy()), texts)


@dataclass(frozen=True)
class FormatReading(Reading):
    """The reading that a user's `time_format` stands for."""

    time_format: str = ""

    def accepts(self, column: TimeColumn) -> Mask | bool:
        """Return which rows are written in the format."""
        if column.clock is not None:
            return True
        texts = column.written_out
        return False if texts is None else _over_rows(~np.isnat(self._parse(texts)), texts)

    def read(self, column: TimeColumn) -> Clock:
        """Return the clock of a column; one that is a clock by its dtype needs no format."""
        if column.clock is not None:
            return column.clock
        texts = column.written_out
        assert texts is not None, "the format accepts texts"
        dates = self._parse(texts)
        values, unit = dates.astype(np.int64), _unit_of(dates)
        # A zone is written at the end, as far as it has an offset.
        offsets = offset_seconds(texts.fields((rf".*?{ZONE}",)))
        local = values + offsets * (np.timedelta64(1, "s") // unit)
        local_values = (lambda: local) if self._has_zone else None
        return Clock(values, unit, local_values, epoch=np.datetime64(0, "D")).at(texts.codes)

    @property
    def _has_zone(self) -> bool:
        return "%z" in self.time_format.lower()

    def _parse(self, texts: Texts) -> NDArray[np.datetime64]:
        """Return dates, in UTC if they have a zone; NaT if they are not written in the format."""
        dates = pd.to_datetime(
            pd.Index(texts.values, dtype=object),
            format=self.time_format,
            errors="coerce",
            utc=self._has_zone,
        )
        return dates.tz_localize(None).to_numpy()


def _unit_of(dates: NDArray[np.datetime64]) -> Any:
    unit: Any = np.datetime_data(dates.dtype)[0]
    return np.timedelta64(1, unit)


def _over_rows(is_accepted: Mask, texts: Texts) -> Mask | bool:
    """Return an answer for each text as one for each row, or for all of them."""
    rows: Mask = is_accepted[texts.codes]
    return True if is_accepted.all() else rows


def format_reading(time_format: Any) -> Reading:
    """Return the reading that a user's `time_format` stands for, after checking it."""
    if not isinstance(time_format, str) or "%" not in time_format:
        raise InputError(
            f"time_format={time_format!r}; pass how dates are written in the codes of strptime, "
            "such as time_format='%d/%m/%Y', or leave it out."
        )
    name = f"dates in the form {time_format!r}"
    return FormatReading(name, (), read_dates, time_format=time_format)
