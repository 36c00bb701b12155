"""The ways to read time points, the most particular ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from seqfeat.series.clock.dates import (
    DATES,
    DAY_FIRST,
    MONTH_FIRST,
    MONTHS_OF_YEARS,
    TIME,
    UNITS,
    ZONE,
    is_date_in_digits,
    is_hour,
    is_month,
    is_quarter,
    read_dates,
    read_durations,
    read_months,
    read_units,
)
from seqfeat.series.clock.numbers import (
    has_thousands,
    read_decimal_commas,
    read_numbers,
    read_thousands,
)
from seqfeat.series.clock.reading import NUMBERS, Reading, UnitReading
from seqfeat.series.clock.texts import Fields, Mask

__all__ = ["COMMA", "READINGS"]


def _digits_reading(form: str, digits: str) -> Reading:
    name = f"dates written as whole numbers ({form})"
    pattern = rf"{digits}(?:\.(?P<zero>\d+))?"
    if form == "YYYYMM":
        name = "months written as whole numbers (YYYYMM)"
        return Reading(name, (pattern,), read_months, is_date_in_digits)
    return Reading(name, (pattern,), read_dates, is_date_in_digits)


def _digits_readings() -> Iterable[Reading]:
    fields = {"YYYY": "year", "MM": "month", "DD": "day", "HH": "hour", "mm": "minute"}
    form, digits = "", ""
    for letters, name in {**fields, "SS": "second"}.items():
        form += letters.upper()
        digits += rf"(?P<{name}>\d{{{len(letters)}}})"
        if name != "year":
            yield _digits_reading(form, digits)


def _date_readings(
    name: str,
    dates: tuple[str, ...],
    fits: Callable[[Fields], Mask] | None = None,
    depends_on: str | None = None,
) -> Iterable[Reading]:
    """Yield the reading of dates, alone or with a time of day, and that of those with a zone."""
    with_time = tuple(rf"{date}(?:(?:T|t|,? +){TIME})?" for date in dates)
    with_zone = tuple(rf"{date}(?:T|t|,? +){TIME}{ZONE}" for date in dates)
    yield Reading(name, with_time, read_dates, fits, depends_on)
    yield Reading(f"{name} with a zone", with_zone, read_dates, fits, depends_on)


COMMA, ORDER = "commas", "order of day and month"
"""What tells readings apart of which each may read every row."""

READINGS: tuple[Reading, ...] = (
    *_digits_readings(),
    Reading(
        NUMBERS,
        (r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", r"[+-]?(?i:inf(?:inity)?)"),
        read_numbers,
    ),
    Reading(
        "numbers with a decimal comma", (r"[+-]?\d+(?:,\d+)?",), read_decimal_commas, None, COMMA
    ),
    Reading(
        "numbers with a comma after each thousand",
        (r"[+-]?(?P<thousands>\d{1,3})(?P<comma>,\d{3})*",),
        read_thousands,
        has_thousands,
        COMMA,
    ),
    *_date_readings("dates", DATES),
    Reading("months", MONTHS_OF_YEARS, read_months, is_month),
    Reading("quarters", (r"(?P<year>\d{4})[- ]?Q(?P<quarter>\d)",), read_months, is_quarter),
    *_date_readings("dates, day first", DAY_FIRST, is_month, ORDER),
    *_date_readings("dates, month first", MONTH_FIRST, is_month, ORDER),
    Reading(
        "durations",
        (
            r"(?P<minus>[+-]?)(?P<hours>\d{1,7}):(?P<minute>\d\d):(?P<second>\d\d)"
            r"(?:[.,](?P<fraction>\d+))?",
            rf"{TIME}(?<=[Mm.])",
        ),
        read_durations,
    ),
    Reading("hours and minutes", (r"(?P<hour>\d\d?):(?P<minute>\d\d)",), read_durations, is_hour),
    Reading(
        "minutes and seconds",
        (r"(?P<minus>[+-]?)(?P<minutes>\d{1,7}):(?P<second>\d\d)[.,](?P<fraction>\d+)",),
        read_durations,
    ),
    UnitReading("durations with units", UNITS, read_units),
    Reading("periods", (), read_dates),
)
