"""Texts that are dates, months or durations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from seqfeat.exceptions import InputError
from seqfeat.series.clock.column import Clock, TimeColumn
from seqfeat.series.clock.texts import MONTHS, Fields, Ints, Mask, Texts

__all__ = [
    "DATES",
    "DAY_FIRST",
    "MONTHS_OF_YEARS",
    "MONTH_FIRST",
    "TIME",
    "UNITS",
    "ZONE",
    "is_date_in_digits",
    "is_hour",
    "is_month",
    "is_quarter",
    "offset_seconds",
    "read_dates",
    "read_durations",
    "read_months",
    "read_units",
]

NANOSECONDS = 10**9
LONGEST_SPAN = 106_000
"""Days that 64 bits hold in nanoseconds."""

TIME = (
    r"(?P<hour>\d\d|\d(?=:))(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
)
ZONE = (
    r" ?(?:[Zz]|UTC|GMT|(?P<sign>[+-])(?P<zone_hour>\d\d)(?::?(?P<zone_minute>\d\d)"
    r"(?::?(?P<zone_second>\d\d))?)?)(?:\[[\w/+-]+\])?"
)
MONTH_NAME = (
    rf"(?P<month_name>(?i:{'|'.join(MONTHS)}|january|february|march|april|june|july|august|"
    r"september|sept|october|november|december))\.?"
)
WEEKDAY = r"(?:(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
DATES = (
    r"(?P<year>\d{4})(?P<separator>[-/.]?)(?P<month>\d\d|(?<=[-/.])\d)(?P=separator)"
    r"(?P<day>\d\d|(?<=[-/.])\d)",
    rf"{WEEKDAY}(?P<day>\d\d?)[- /.]*{MONTH_NAME}[- /,]*(?P<year>\d{{4}})",
    rf"{WEEKDAY}{MONTH_NAME} *(?P<day>\d\d?),? +(?P<year>\d{{4}})",
    rf"(?P<year>\d{{4}})[- /]{MONTH_NAME}[- /](?P<day>\d\d?)",
    r"(?P<day>\d\d?)\.(?P<month>\d\d?)\.(?P<year>\d{4})",
    r"(?P<year>\d{4})-?(?P<has_week>W)(?P<week>\d\d)(?:-?(?P<weekday>\d))?",
)
DAY_FIRST = (r"(?P<day>\d\d?)(?P<separator>[-/])(?P<month>\d\d?)(?P=separator)(?P<year>\d{4})",)
MONTH_FIRST = (r"(?P<month>\d\d?)(?P<separator>[-/])(?P<day>\d\d?)(?P=separator)(?P<year>\d{4})",)
MONTHS_OF_YEARS = (
    r"(?P<year>\d{4})[-/M](?P<month>\d\d)",
    r"(?P<month>\d\d)[-/](?P<year>\d{4})",
    rf"{MONTH_NAME}[- ](?P<year>\d{{4}})",
)
UNIT = (
    r"(?:W|D|days?|h|hr|hours?|m|min|minutes?|s|sec|seconds?|ms|milliseconds?|us|µs|"
    r"microseconds?|ns|nanoseconds?)"
)
UNITS = (
    r"[+-]?P[\d.DTHMSW]+",
    rf"[+-]?(?:\d+(?:\.\d+)? ?{UNIT},? ?)*(?:[+-]?\d{{1,2}}:\d\d:\d\d(?:\.\d+)?)?",
)


def read_dates(column: TimeColumn, texts: Texts, patterns: tuple[str, ...]) -> Clock:
    """Return the clock of dates, with or without a time of day and a zone."""
    fields = texts.fields(patterns)
    _check_possible(column, fields)
    days = _first_days(fields) + fields["day"] - 1
    if fields["has_week"].any():
        days = np.where(fields["has_week"] > 0, _days_of_weeks(fields), days)
    values, per_second = _with_time_of_day(days - days.min(), fields)
    if per_second < NANOSECONDS and (fields["fraction"] % 1000).any():
        raise InputError(
            f"the time points in {column.name!r} are more than 290 years apart, and 64 bits do not "
            "hold such a time in nanoseconds. Write them with 6 digits after the second."
        )
    offsets = offset_seconds(fields) * per_second
    local = None if (offsets == offsets[0]).all() else lambda: values
    unit = _unit(per_second)
    epoch = np.datetime64(int(days.min()), "D")
    return Clock(values - offsets, unit, local, epoch=epoch)


def read_months(column: TimeColumn, texts: Texts, patterns: tuple[str, ...]) -> Clock:
    """Return months, or quarters, as numbers, as they have no fixed duration."""
    fields = texts.fields(patterns)
    return Clock(12 * fields["year"] + fields["month"] + 3 * fields["quarter"])


def read_durations(column: TimeColumn, texts: Texts, patterns: tuple[str, ...]) -> Clock:
    """Return the clock of texts such as ``01:30:00``."""
    fields = texts.fields(patterns)
    _check_possible(column, fields)
    values, per_second = _with_time_of_day(np.zeros(fields.n_texts, np.int64), fields)
    sign = np.where(fields["minus"] == ord("-"), -1, 1)
    return Clock(sign * values, _unit(per_second))


def read_units(column: TimeColumn, texts: Texts, patterns: tuple[str, ...]) -> Clock:
    """Return the clock of texts such as ``90 min``."""
    durations = pd.to_timedelta(pd.Index(texts.values, dtype=object))
    return Clock(durations.asi8, np.timedelta64(1, durations.unit))


def _check_possible(column: TimeColumn, fields: Fields) -> None:
    """Check that dates and times of day exist."""
    year, month, day, hour = (fields[name] for name in ("year", "month", "day", "hour"))
    last_day = _first_days(fields, months=1) - _first_days(fields)
    n_weeks = (_first_monday(year + 1) - _first_monday(year)) // 7
    has_half = fields["half"] > 0
    problems: list[tuple[Mask, Callable[[int], str]]] = [
        ((month < 1) | (month > 12), lambda _: "months go from 1 to 12"),
        (
            (day < 1) | (day > last_day),
            lambda place: f"{year[place]}-{month[place]:02} has {last_day[place]} days",
        ),
        (
            (fields["has_week"] > 0) & ((fields["week"] < 1) | (fields["week"] > n_weeks)),
            lambda place: f"weeks of {year[place]} go from 1 to {n_weeks[place]}",
        ),
        (fields["weekday"] > 7, lambda _: "days of a week go from 1 to 7"),
        (~has_half & (hour > 23), lambda _: "hours go from 0 to 23"),
        (has_half & ((hour < 1) | (hour > 12)), lambda _: "hours of AM and PM go from 1 to 12"),
        (fields["minute"] > 59, lambda _: "minutes go from 0 to 59"),
        (fields["second"] > 59, lambda _: "seconds go from 0 to 59"),
        (fields["excess"] > 0, lambda _: "it has more than 9 digits after the second"),
        (
            (fields["zone_hour"] > 23) | (fields["zone_minute"] > 59),
            lambda _: "an offset has at most 23 hours and 59 minutes",
        ),
    ]
    is_impossible = np.any([is_wrong for is_wrong, _ in problems], axis=0)
    if not is_impossible.any():
        return
    texts = column.written_out
    assert texts is not None, "only texts have fields"
    row = column.row(is_impossible[texts.codes])
    place = int(texts.codes[row - column.first_row])
    reason = next(why(place) for is_wrong, why in problems if is_wrong[place])
    raise InputError(
        f"row {row} has {column.value(row)} in column {column.name!r}, which is no time point: "
        f"{reason}. Correct it, or drop the row."
    )


def _first_days(fields: Fields, months: int = 0) -> Ints:
    """Return the first days of the months, or of some months later, counted from 1970."""
    number = 12 * (fields["year"] - 1970) + fields["month"] - 1 + months
    days: Ints = number.astype("M8[M]").astype("M8[D]").astype(np.int64)
    return days


def _days_of_weeks(fields: Fields) -> Ints:
    """Return the days of ISO weeks, of which the first has the 4th of January."""
    weekday = np.maximum(fields["weekday"], 1)
    days: Ints = _first_monday(fields["year"]) + 7 * (fields["week"] - 1) + weekday - 1
    return days


def _first_monday(year: Ints) -> Ints:
    """Return the first day of the first week."""
    fourth: Ints = (year - 1970).astype("M8[Y]").astype("M8[D]").astype(np.int64) + 3
    # The 1st of January 1970 was a Thursday.
    monday: Ints = fourth - (fourth + 3) % 7
    return monday


def _with_time_of_day(days: Ints, fields: Fields) -> tuple[Ints, int]:
    """Return days with their times as numbers, and how many of these are a second."""
    noon = np.where(fields["half"] == ord("p"), 12, 0)
    hour = np.where(fields["half"] > 0, fields["hour"] % 12 + noon, fields["hour"])
    minutes = 60 * (hour + fields["hours"]) + fields["minute"] + fields["minutes"]
    seconds = 86_400 * days + 60 * minutes + fields["second"]
    per_second = NANOSECONDS if seconds.max() < LONGEST_SPAN * 86_400 else 10**6
    return seconds * per_second + fields["fraction"] * per_second // NANOSECONDS, per_second


def _unit(per_second: int) -> np.timedelta64:
    return np.timedelta64(1, "ns") if per_second == NANOSECONDS else np.timedelta64(1, "us")


def offset_seconds(fields: Fields) -> Ints:
    """Return how far the local clock is ahead of UTC."""
    minutes = 60 * fields["zone_hour"] + fields["zone_minute"]
    seconds: Ints = 60 * minutes + fields["zone_second"]
    return np.where(fields["sign"] == ord("-"), -seconds, seconds)


def is_month(fields: Fields) -> Mask:
    """Return which texts have a month."""
    return (fields["month"] >= 1) & (fields["month"] <= 12)


def is_quarter(fields: Fields) -> Mask:
    """Return which texts have a quarter."""
    return (fields["quarter"] >= 1) & (fields["quarter"] <= 4)


def is_hour(fields: Fields) -> Mask:
    """Return which texts have an hour of the day."""
    return fields["hour"] <= 23


def is_date_in_digits(fields: Fields) -> Mask:
    """Return which digits would be a date if all months had 31 days."""
    is_date = is_month(fields) & (fields["year"] >= 1900) & (fields["year"] <= 2100)
    is_date &= (fields["day"] >= 1) & (fields["day"] <= 31) & (fields["zero"] == 0)
    return is_date & is_hour(fields) & (fields["minute"] <= 59) & (fields["second"] <= 59)
