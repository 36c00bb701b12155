"""Time points that cannot be read: the first row is named, its column and value, and a way out."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series.time_grid import StepScan
from tests.series.clock.columns import objects, steps_in_parts, steps_of
from tests.series.inputs import error_of

IMPOSSIBLE = {
    "a day": (["2023-02-27", "2023-02-28", "2023-02-29"], "row 2 has '2023-02-29'", "28 days"),
    "a day, as a number": ([20240229, 20240230, 20240301], "row 1 has 20240230", "29 days"),
    "a day, as text": (["20240229", "20240230"], "row 1 has '20240230'", "29 days"),
    "a day, as a float": ([20240230.0, 20240229.0], "row 0 has 20240230.0", "29 days"),
    "a day, day first": (["30/01/2024", "30/02/2024"], "row 1 has '30/02/2024'", "29 days"),
    "a month": (["2023-12-01", "2023-13-01"], "row 1 has '2023-13-01'", "months go from 1 to 12"),
    "a month of 0": (["2023-00-10", "2023-01-10"], "row 0 has '2023-00-10'", "from 1 to 12"),
    "an hour": (["2023-01-30T23", "2023-01-30T24:00"], "row 1 has '2023-01-30T24:00'", "0 to 23"),
    "an hour of 13 PM": (["1:00 PM", "13:00 PM"], "row 1 has '13:00 PM'", "from 1 to 12"),
    "a minute": (["0:59:00", "0:60:00"], "row 1 has '0:60:00'", "minutes go from 0 to 59"),
    "a second": (["2023-01-30 23:59:60"], "row 0 has '2023-01-30 23:59:60'", "seconds go from"),
    "a week": (["2020-W53", "2021-W53"], "row 1 has '2021-W53'", "weeks of 2021 go from 1 to 52"),
    "a fraction": (["2023-01-30 10:00:00.1234567891"], "row 0 has '2023", "more than 9 digits"),
    "an offset": (["2023-01-30T10:00+01:00", "2023-01-30T10:00+24:00"], "row 1 has", "23 hours"),
}


@pytest.mark.parametrize("steps", [steps_of, steps_in_parts])
@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_time_is_named(case, steps):
    times, row, reason = IMPOSSIBLE[case]
    message = error_of(steps, times)
    assert message.startswith(row)
    assert "in column 't', which is no time point" in message
    assert reason in message
    assert "Correct it, or drop the row." in message


UNLIKE_THE_REST = {
    "a word": (
        ["noon", "2024-01-01", "2024-01-02"],
        "row 0 has 'noon' in",
        "2 of 3 rows hold dates",
    ),
    "a word among numbers": (["0", "1", "end"], "row 2 has 'end' in", "2 of 3 rows hold numbers"),
    "a cell without text": (["0", "1", " "], "row 2 has ' ' in", "2 of 3 rows hold numbers"),
    "a missing zone": (
        ["2022-01-01T00:00Z", "2022-01-01T01:00", "2022-01-01T02:00Z"],
        "row 1 has '2022-01-01T01:00' without a zone",
        "Give all of them a zone, or none.",
    ),
    "a zone": (
        ["2022-01-01T00:00", "2022-01-01T01:00", "2022-01-01T02:00Z"],
        "row 2 has '2022-01-01T02:00Z' with a zone",
        "Give all of them a zone, or none.",
    ),
    "a zone of an object": (
        objects(
            dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2), pd.Timestamp("2024-01-03", tz="UTC")
        ),
        "row 2 has 2024-01-03 00:00:00+00:00 with a zone",
        "Give all of them a zone, or none.",
    ),
    "another order": (
        ["13/01/2024", "14/01/2024", "01/15/2024"],
        "row 2 has '01/15/2024' (dates, month first)",
        "2 of 3 rows hold dates, day first",
    ),
    "a number among dates": (
        ["2024-01-01", "2024-01-02", "3.5"],
        "row 2 has '3.5' (numbers)",
        "2 of 3 rows hold dates",
    ),
    "a truth value": (objects(0, 1, True), "row 2 has True in", "2 of 3 rows hold numbers"),
    "a duration among dates": (
        objects(dt.date(2024, 1, 1), dt.date(2024, 1, 2), dt.timedelta(3)),
        "row 2 has 3 days, 0:00:00",
        "2 of 3 rows hold dates",
    ),
    "a period of another length": (
        objects(pd.Period("2024-01", "M"), pd.Period("2024-01-01", "D")),
        "the time points in 't' have dtype object (row 0 has 2024-01)",
        "time_format=",
    ),
    "digits of other scripts": (
        ["2024-01-01", "\u0662\u0660\u0662\u0664-\u0660\u0661-\u0660\u0661"],
        "row 1 has",
        "1 of 2 rows hold dates",
    ),
    "a very long text": (["1", "x" * 10**6], "row 1 has 'xxxxxxx", "1 of 2 rows hold numbers"),
}


@pytest.mark.parametrize("steps", [steps_of, steps_in_parts])
@pytest.mark.parametrize("case", UNLIKE_THE_REST)
def test_a_row_that_is_unlike_the_rest_is_named(case, steps):
    times, row, says = UNLIKE_THE_REST[case]
    message = error_of(steps, times, error=InputTypeError)
    assert message.startswith(row)
    assert says in message
    assert len(message) < 400


NO_TIME = {
    "words": (["noon", "later"], "'noon'"),
    "truth values": ([True, False], "True"),
    "complex numbers": (np.array([1j, 2j]), "1j"),
    "lists": (objects([1], [2]), "[1]"),
    "years of two digits": (["13/01/24", "14/01/24"], "'13/01/24'"),
    "intervals": (pd.interval_range(0, 2), "(0, 1]"),
}


@pytest.mark.parametrize("case", NO_TIME)
def test_a_column_without_times_is_named_with_both_ways_out(case):
    times, value = NO_TIME[case]
    message = error_of(steps_of, times, error=InputTypeError)
    assert message.startswith("the time points in 't' have dtype ")
    assert f"(row 0 has {value})" in message
    assert "time_format='" in message
    assert "time=None" in message


@pytest.mark.parametrize(
    ("times", "formats"),
    [
        (["01/02/2024", "02/02/2024"], ("%d/%m/%Y", "%m/%d/%Y")),
        (["01-02-2024 10:30", "02-02-2024 10:30"], ("%d-%m-%Y %H:%M", "%m-%d-%Y %H:%M")),
        (["1/2/2024 1:05:00 PM"] * 2, ("%d/%m/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M:%S %p")),
        (["1/2/2024 13:05:00.5"] * 2, ("%d/%m/%Y %H:%M:%S.%f", "%m/%d/%Y %H:%M:%S.%f")),
        (["1/2/2024 13:05+01:00"] * 2, ("%d/%m/%Y %H:%M%z", "%m/%d/%Y %H:%M%z")),
    ],
)
def test_an_order_of_day_and_month_that_is_not_certain_is_asked_for(times, formats):
    message = error_of(steps_of, times)
    assert f"the time points in 't', such as {times[0]!r}, may be dates, day first" in message
    assert f"Pass time_format={formats[0]!r} or time_format={formats[1]!r}." in message
    assert error_of(steps_in_parts, times) == message
    for time_format in formats:
        assert steps_of(times[:1], "auto", time_format) == [0]


def test_a_comma_that_is_not_certain_is_asked_for():
    message = error_of(steps_of, ["999", "1,000", "1,001"])
    assert message.startswith("the time points in 't', such as '1,000', may be numbers with a deci")


@pytest.mark.parametrize(
    ("times", "row", "value"),
    [
        ([0, 1, -np.inf], 2, "-inf"),
        (["0", "inf"], 1, "'inf'"),
        (objects(Decimal("0"), Decimal("Infinity")), 1, "Infinity"),
    ],
)
def test_an_infinite_time_is_named(times, row, value):
    message = error_of(steps_of, times)
    assert message.startswith(f"row {row} has an infinite time point (t is {value})")
    assert "Drop the row" in message


@pytest.mark.parametrize(
    "times",
    [
        [0, np.nan, 2],
        pd.to_datetime(["2024-01-01", None, "2024-01-02"]),
        objects(dt.date(2024, 1, 1), None, dt.date(2024, 1, 2)),
        objects(Decimal(1), Decimal("NaN"), Decimal(2)),
        ["2024-01-01", None, "2024-01-02"],
        pd.array([1, None, 2], dtype="Int64"),
    ],
)
def test_a_missing_time_is_named(times):
    for steps in (steps_of, steps_in_parts):
        message = error_of(steps, times)
        assert message.startswith("row 1 has no time point (t is ")
        assert "Drop the row" in message


def test_nanoseconds_over_centuries_are_not_cut_off():
    times = ["1600-01-01 00:00:00.000000001", "2024-01-01 00:00:00"]
    assert "more than 290 years apart" in error_of(steps_of, times)
    assert steps_of(["1600-01-01 00:00:00.000001000", times[1]]) == [0, 1]


def test_rows_are_counted_from_the_beginning_of_the_table():
    times = [*(f"2024-01-{day:02}" for day in range(1, 31)), "2024-01-32"]
    assert error_of(steps_in_parts, times).startswith("row 30 has '2024-01-32'")


@pytest.mark.parametrize("time_format", ["mixed", "", 3, "Y-m-d"])
def test_a_value_that_is_no_format_is_rejected(time_format):
    message = error_of(steps_of, ["2024-01-01"], "auto", time_format)
    assert message.startswith(f"time_format={time_format!r}; ")
    assert "time_format='%d/%m/%Y'" in message


@pytest.mark.parametrize("steps", [steps_of, steps_in_parts])
def test_a_row_that_does_not_match_the_format_is_named(steps):
    times = ["13/01/24", "14/01/24", "15.01.24"]
    message = error_of(steps, times, "auto", "%d/%m/%y", error=InputTypeError)
    assert message.startswith(
        "row 2 has '15.01.24' in column 't', which does not match time_format="
    )


def test_scans_of_parts_can_be_merged_in_any_process():
    import pickle

    parts = (["01/02/2024", "01/03/2024"], ["13/01/2024", "14/01/2024"], ["02/02/2024"])
    scans = []
    for part in parts:
        scan = StepScan()
        scan.update(np.zeros(len(part), dtype=np.int64), pd.Series(part, name="t"))
        scans.append(pickle.loads(pickle.dumps(scan)))
    first, *rest = scans
    with pytest.raises(InputError, match="day first, or"):
        first.step()
    for scan in rest:
        first.merge(scan)
    assert first.length == pd.Timedelta("1D")
    assert pickle.loads(pickle.dumps(first.step())).reading.name == "dates, day first"
