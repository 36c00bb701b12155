"""The time points of a table, as a clock, as numbers or as texts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cache, cached_property
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.runtime.visible_text import shorten
from seqfeat.series.clock.texts import Mask, Texts

__all__ = ["Clock", "TimeColumn"]


class Clock(NamedTuple):
    """Time points as numbers, of which only the differences count.

    Attributes
    ----------
    values : ndarray of shape (n_rows,)
    unit : timedelta64 or None
        The duration of 1, or None if the numbers have no duration.
    local_values : callable or None
        Returns the same on the local clock, if that was put forward or back meanwhile.
    rounding : float
        By which fraction of itself a value may be rounded.
    epoch : datetime64 or None
        The date that is 0, in UTC where the dates have a zone; None if they are no texts.
    """

    values: NDArray[Any]
    unit: Any = None
    local_values: Callable[[], NDArray[Any]] | None = None
    rounding: float = 2.0**-52
    epoch: Any = None

    def at(self, rows: NDArray[Any]) -> Clock:
        """Return the clock of rows, of which this one has the distinct time points."""
        local = self.local_values
        local_at = None if local is None else lambda: local()[rows]
        return self._replace(values=self.values[rows], local_values=local_at)


class TimeColumn:
    """The time points of a table, or of a part of it that begins at `first_row`."""

    def __init__(self, times: pd.Series[Any], first_row: int = 0) -> None:
        self.times = times
        self.name = "time" if times.name is None else times.name
        self.first_row = first_row
        is_missing = times.isna().to_numpy()
        if is_missing.any():
            row = int(np.argmax(is_missing))
            raise InputError(
                f"row {first_row + row} has no time point ({self.name} is {times.iloc[row]}); "
                "every row needs one. Drop the row, or fill in its time."
            )
        self._cells = _as_cells(times)

    @property
    def kind(self) -> str | None:
        """The name of the reading for a column that is a clock by its dtype."""
        return self._cells[0] if isinstance(self._cells, tuple) else None

    @property
    def clock(self) -> Clock | None:
        """The time points of a column that is a clock by its dtype."""
        return self._cells[1] if isinstance(self._cells, tuple) else None

    @property
    def number_clock(self) -> Clock:
        """The numbers of a column of numbers as a clock."""
        assert self.numbers is not None, "the column has another dtype"
        self.check_finite(self.numbers)
        dtype: Any = self.times.dtype
        is_single = dtype.kind == "f" and dtype.itemsize < 8
        return Clock(self.numbers, rounding=2.0**-23 if is_single else 2.0**-52)

    @property
    def numbers(self) -> NDArray[Any] | None:
        """The time points of a column of numbers."""
        return self._cells if isinstance(self._cells, np.ndarray) else None

    @cached_property
    def texts(self) -> Texts | None:
        """The time points as texts, unless they are a clock or numbers that cannot be dates."""
        if self.numbers is not None:
            return self.written_out if _may_be_dates(self.numbers) else None
        return self.written_out

    @cached_property
    def written_out(self) -> Texts | None:
        """The time points as texts, unless they are a clock by their dtype."""
        if self.numbers is not None:
            numbers = self.numbers.astype(np.int64) if _are_whole(self.numbers) else self.numbers
            codes, distinct = pd.factorize(numbers)
            return Texts(list(map(str, distinct.tolist())), codes)
        return self._cells if isinstance(self._cells, Texts) else None

    def check_finite(self, values: NDArray[Any], codes: NDArray[Any] | slice = slice(None)) -> None:
        """Check that numbers are finite, of which the rows have those at `codes`."""
        is_finite = np.isfinite(values)
        if not is_finite.all():
            row = self.row(~is_finite[codes])
            raise InputError(
                f"row {row} has an infinite time point ({self.name} is {self.value(row)}); time "
                "points must be finite. Drop the row, or correct its time."
            )

    def row(self, is_it: Mask) -> int:
        """Return the row of the table at which a mask over the rows is first true."""
        return self.first_row + int(np.argmax(is_it))

    def value(self, row: int) -> str:
        """Return the time point in a row of the table, for a message."""
        return _shown(self.times.iloc[row - self.first_row])


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return shorten(text)


def _as_cells(times: pd.Series[Any]) -> tuple[str, Clock] | NDArray[Any] | Texts | None:
    """Return time points as a clock, numbers or texts, or None if their dtype is no time."""
    dtype: Any = times.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _as_cells(times.astype(dtype.categories.dtype))
    if isinstance(dtype, pd.PeriodDtype):
        return "periods", Clock(pd.PeriodIndex(times).asi8)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return _date_cells(pd.DatetimeIndex(times))
    if dtype.kind == "m":
        durations = pd.TimedeltaIndex(times)
        return "durations", Clock(durations.asi8, np.timedelta64(1, durations.unit))
    is_decimal = pd.api.types.is_object_dtype(dtype) or dtype.kind == "O"
    if pd.api.types.is_any_real_numeric_dtype(dtype) and not is_decimal:
        return _as_integers_or_doubles(times)
    if pd.api.types.is_string_dtype(times) and not pd.api.types.is_object_dtype(dtype):
        codes, distinct = pd.factorize(times)
        return Texts([text.strip() for text in distinct.tolist()], codes)
    if not is_decimal:
        return None
    cells = list(times.astype(object))
    if all(isinstance(cell, pd.Period) for cell in cells):
        periods = pd.Index(cells)
        if isinstance(periods, pd.PeriodIndex):
            return "periods", Clock(periods.asi8)
    codes, texts = pd.factorize(np.array(list(map(_as_text, cells)), dtype=object))
    return Texts(texts.tolist(), codes)


def _date_cells(dates: pd.DatetimeIndex) -> tuple[str, Clock]:
    unit = np.timedelta64(1, dates.unit)
    if dates.tz is None:
        return "dates", Clock(dates.asi8, unit)
    local = cache(lambda: dates.tz_localize(None).asi8)
    return "dates with a zone", Clock(dates.asi8, unit, local)


def _as_integers_or_doubles(times: pd.Series[Any]) -> NDArray[Any]:
    """Return numbers as int64 or float64; of integers beyond int64, their distance to the least."""
    if times.dtype.kind == "u":
        values = times.to_numpy(np.uint64)
        least = values.min() if values.size and values.max() > np.iinfo(np.int64).max else 0
        return _close_together((values - np.uint64(least)).astype(np.uint64))
    return _close_together(times.to_numpy(np.int64 if times.dtype.kind == "i" else np.float64))


def _close_together(values: NDArray[Any]) -> NDArray[Any]:
    """Return integers as int64, or as float64 if differences between them would overflow."""
    if values.dtype.kind == "f" or not values.size:
        return values
    largest = np.iinfo(np.int64).max
    if int(values.max()) > largest or int(values.max()) - int(values.min()) > largest:
        return values.astype(np.float64)
    return values.astype(np.int64, copy=False)


def _as_text(cell: Any) -> str:
    """Return an object as the text that stands for it, or an empty one if it is no time."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, (bool, np.bool_)):
        return ""
    if isinstance(cell, (timedelta, np.timedelta64)):
        return pd.Timedelta(cell).isoformat()
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    if isinstance(cell, (np.datetime64, Decimal)):
        return str(cell)
    if isinstance(cell, Integral):
        return str(int(cell))
    return repr(float(cell)) if isinstance(cell, Real) else ""


def _may_be_dates(numbers: NDArray[Any]) -> bool:
    """Return whether all numbers are in the range of dates that are written as whole numbers."""
    least, largest = numbers.min(), numbers.max()
    is_in_range = any(
        1900 * 10**n_digits <= least and largest < 2101 * 10**n_digits
        for n_digits in (2, 4, 6, 8, 10)
    )
    return is_in_range and _are_whole(numbers)


def _are_whole(numbers: NDArray[Any]) -> bool:
    if numbers.dtype.kind == "i":
        return True
    return bool((np.isfinite(numbers) & (np.abs(numbers) < 2**53)).all()) and bool(
        (np.mod(numbers, 1) == 0).all()
    )
