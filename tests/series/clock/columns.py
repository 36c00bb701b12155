"""Columns of time points in many forms, and what is read from them."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd

from seqfeat.series.clock import Readings, TimeColumn
from seqfeat.series.time_grid import StepScan, steps_by_time

IDS = pd.Index(["a"])


def objects(*cells):
    return pd.Series(cells, dtype=object, name="t")


def read(times, time_format=None):
    """Return the reading of a column and its clock."""
    column = TimeColumn(pd.Series(times, name="t"))
    readings = Readings(time_format)
    readings.add(column)
    reading = readings.chosen()
    return reading, reading.read(column)


def steps_of(times, step="auto", time_format=None):
    times = pd.Series(times, name="t")
    codes = np.zeros(len(times), dtype=np.int64)
    return steps_by_time(codes, times, IDS, step, time_format).tolist()


def steps_in_parts(times, step="auto", time_format=None):
    """Return the same, with each two rows as a series of their own and in a part of their own."""
    times = pd.Series(times, name="t")
    parts = [times.iloc[start : start + 2] for start in range(0, len(times), 2)]
    scan = StepScan(step, time_format)
    for part in parts:
        scan.update(np.zeros(len(part), dtype=np.int64), part)
    known = scan.step()
    return [
        steps_by_time(np.zeros(len(part), dtype=np.int64), part, IDS, known).tolist()
        for part in parts
    ]


def steps_in_pairs(times, step="auto", time_format=None):
    """Return the same series, but from one whole table."""
    times = pd.Series(times, name="t")
    codes = np.arange(len(times)) // 2
    ids = pd.RangeIndex(codes[-1] + 1)
    steps = steps_by_time(codes, times, ids, step, time_format)
    return [steps[codes == code].tolist() for code in ids]


BERLIN = "Europe/Berlin"
NEW_YEAR = dt.datetime(2024, 1, 1)
HOURS = [NEW_YEAR + dt.timedelta(hours=hours) for hours in (22, 23, 25, 29)]

FORMS = {
    # Numbers
    "integers": [3, 4, 6, 10],
    "floats": [0.3, 0.4, 0.6, 1.0],
    "single precision": np.array([0.3, 0.4, 0.6, 1.0], dtype=np.float32),
    "half precision": np.array([3, 4, 6, 10], dtype=np.float16),
    "nullable": pd.array([3, 4, 6, 10], dtype="Int64"),
    "text": ["3", "4", "6", "10"],
    "text with fractions": ["0.3", ".4", "6e-1", "1"],
    "text with signs and spaces": ["-1", " 0", "2 ", "+6"],
    "text with a decimal comma": ["0,3", "0,4", "0,6", "1,0"],
    "text with commas after thousands": ["999,999", "1,000,000", "1,000,002", "1,000,006"],
    "integers as objects": objects(3, 4, 6, 10),
    "numbers of several types": objects(3, 4.0, Decimal(6), np.int8(10)),
    "decimals": objects(*map(Decimal, ("0.3", "0.4", "0.6", "1"))),
    "numbers and text": objects(3, "4", 6.0, "10"),
    "beyond 2**53": [2**53 + 1, 2**53 + 2, 2**53 + 4, 2**53 + 8],
    "beyond 2**63": np.array([2**63 + 1, 2**63 + 2, 2**63 + 4, 2**63 + 8], dtype=np.uint64),
    "text beyond 2**64": [str(2**64 + distance) for distance in (1, 2, 4, 8)],
    "seconds since 1970": [1_700_000_000 + 60 * minute for minute in (0, 1, 3, 7)],
    "categories": pd.Categorical([3, 4, 6, 10]),
    # Dates as whole numbers
    "YYYYMMDD": [20240228, 20240229, 20240302, 20240306],
    "YYYYMMDD, end of the year": [20231231, 20240101, 20240103, 20240107],
    "YYYYMMDD as floats": [20240228.0, 20240229.0, 20240302.0, 20240306.0],
    "YYYYMMDD as text": ["20240228", "20240229", "20240302", "20240306"],
    "YYYYMMDD as text of floats": ["20240228.0", "20240229.0", "20240302.0", "20240306.0"],
    "YYYYMMDD as objects": objects(20240228, 20240229, 20240302, 20240306),
    "YYYYMMDD nullable": pd.array([20240228, 20240229, 20240302, 20240306], dtype="Int64"),
    "YYYYMM": [202311, 202312, 202402, 202406],
    "YYYYMMDDHH": [2024010122, 2024010123, 2024010201, 2024010205],
    "YYYYMMDDHHMM": [202401012358, 202401012359, 202401020001, 202401020005],
    "YYYYMMDDHHMMSS": [20240101235958, 20240101235959, 20240102000001, 20240102000005],
    # ISO 8601
    "dates": ["2024-02-28", "2024-02-29", "2024-03-02", "2024-03-06"],
    "a space": [f"{hour}" for hour in HOURS],
    "a T": [hour.isoformat() for hour in HOURS],
    "hours only": [f"{hour:%Y-%m-%dT%H}" for hour in HOURS],
    "basic": [f"{hour:%Y%m%dT%H%M}" for hour in HOURS],
    "mixed precision": ["2024-01-01", "2024-01-01T12", "2024-01-02 12:00:00.000", "20240104T12"],
    "fractions": [f"2024-01-01T00:00:0{text}" for text in ("0.3", "0.40", "0.600", "1")],
    "fractions after a comma": [
        f"2024-01-01 00:00:0{text}" for text in ("0,3", "0,4", "0,6", "1,0")
    ],
    "nanoseconds": [f"2024-01-01 00:00:00.{digits:09}" for digits in (3, 4, 6, 10)],
    "UTC": [f"{hour.isoformat()}Z" for hour in HOURS],
    "an offset": [f"{hour.isoformat()}+01:00" for hour in HOURS],
    "offsets written in several ways": [
        f"2024-01-01 {text}" for text in ("03:00+01:00", "05:00+0200", "06:00+01", "07:00 -02")
    ],
    "two offsets over a change of clocks": [
        f"2022-10-30T{text}"
        for text in ("01:00:00+02:00", "02:00:00+02:00", "03:00:00+01:00", "07:00:00+01:00")
    ],
    "months": ["2023-11", "2023-12", "2024-02", "2024-06"],
    "quarters": ["2023Q3", "2023Q4", "2024Q2", "2025Q2"],
    "weeks": ["2020-W52", "2020-W53", "2021-W02", "2021-W06"],
    # Other dates
    "year first": ["2024/2/28", "2024/2/29", "2024/3/2", "2024/3/6"],
    "day first": ["28/02/2024", "29/02/2024", "02/03/2024", "06/03/2024"],
    "day first with a time": [
        f"{hour.replace(day=27 + hour.day):%d/%m/%Y %H:%M}" for hour in HOURS
    ],
    "month first": ["2/28/2024", "2/29/2024", "3/2/2024", "3/6/2024"],
    "month first with a half of the day": [
        "1/31/2024 10:30 AM",
        "1/31/2024 11:30 AM",
        "1/31/2024 1:30 PM",
        "1/31/2024 5:30 PM",
    ],
    "noon and midnight": ["1/31/2024 12 AM", "1/31/2024 12 PM", "2/1/2024 12 PM", "2/3/2024 12 PM"],
    "dots": ["28.02.2024", "29.02.2024", "2.3.2024", "06.03.2024 00:00"],
    "names of months": ["28-Feb-2024", "29 feb 2024", "02-MAR-2024", "6 March 2024"],
    "month, day, year": ["Feb 28, 2024", "Feb 29, 2024", "March 2, 2024", "March 6, 2024"],
    "as in mail": [f"Mon, {day:%d %b %Y %H:%M:%S} GMT" for day in HOURS],
    # Durations
    "hours, minutes, seconds": ["00:59:58", "00:59:59", "1:00:01", "01:00:05"],
    "more than a day": ["23:59:59", "24:00:00", "24:00:02", "24:00:06"],
    "hours and minutes": ["8:59", "9:00", "9:02", "09:06"],
    "minutes and fractions": ["59:59.8", "59:59.9", "60:00.1", "60:00.5"],
    "time of day": ["11:59 AM", "12:00 PM", "12:02 PM", "12:06 PM"],
    "with units": ["90 s", "2min", "3 min", "5min"],
    "ISO durations": ["PT1S", "PT2S", "PT4S", "PT8S"],
    "days": ["-1 days +23:59:59", "0 days 00:00:00", "0 days 00:00:02", "0 days 00:00:06"],
    "as Python writes them": ["23:59:59", "1 day, 0:00:00", "1 day, 0:00:02", "1 day, 0:00:06"],
    "durations": pd.to_timedelta([3, 4, 6, 10], unit="h"),
    "durations as objects": objects(*(dt.timedelta(hours=hours) for hours in (3, 4, 6, 10))),
    "times of day as objects": objects(*(dt.time(0, minute) for minute in (3, 4, 6, 10))),
    # Date objects
    "date objects": objects(
        *(dt.date(2024, 2, 25 + day) for day in (0, 1, 3)), dt.date(2024, 3, 3)
    ),
    "datetime objects": objects(*HOURS),
    "dates and datetimes": objects(
        dt.date(2024, 1, 1), dt.datetime(2024, 1, 2), *pd.to_datetime(["2024-01-04", "2024-01-08"])
    ),
    "datetime64 objects": objects(*(np.datetime64("2024-02-28") + day for day in (0, 1, 3, 7))),
    "months of datetime64": objects(*(np.datetime64("2023-11") + month for month in (0, 1, 3, 7))),
    "stamps with two offsets": objects(
        *pd.date_range("2022-10-30 01:00", periods=9, freq="h", tz=BERLIN)[[0, 1, 3, 7]]
    ),
    "stamps of two zones": objects(
        pd.Timestamp("2024-01-01 02:00", tz=BERLIN),
        pd.Timestamp("2024-01-01 02:00", tz="UTC"),
        pd.Timestamp("2024-01-01 04:00", tz="UTC"),
        pd.Timestamp("2024-01-01 08:00", tz="UTC"),
    ),
    "datetime64": pd.Series(HOURS),
    "datetime64 with a zone": pd.Series(HOURS).dt.tz_localize(BERLIN),
    "up to the year 9999": ["9999-12-24", "9999-12-25", "9999-12-27", "9999-12-31"],
    "date objects of the year 9999": objects(
        *(dt.date(9999, 12, 31 - day) for day in (7, 6, 4, 0))
    ),
    "periods": pd.PeriodIndex(["2023-11", "2023-12", "2024-02", "2024-06"], freq="M"),
    "period objects": objects(
        *pd.PeriodIndex(["2023-11", "2023-12", "2024-02", "2024-06"], freq="M")
    ),
}
"""Time points at 0, 1, 3 and 7 steps, in all forms that are read without being told."""
