import numpy as np
import pandas as pd
import pytest

from seqfeat.exceptions import InputTypeError
from seqfeat.series.time_grid import (
    EvenStep,
    check_density,
    shortest_gap,
    steps_by_order,
    steps_by_time,
)
from tests.series.inputs import error_of

IDS = pd.Index(["a", "b"])


def steps_of(times, codes=None, step="auto"):
    codes = np.zeros(len(times), dtype=np.int64) if codes is None else np.array(codes)
    return steps_by_time(codes, pd.Series(times, name="hour"), IDS, step)


def error(times, codes=None, step="auto", **options):
    return error_of(steps_of, times, codes, step, **options)


def test_without_times_rows_are_numbered_in_their_order():
    assert steps_by_order(np.array([0, 1, 0, 0, 1])).tolist() == [0, 0, 1, 2, 1]


# step="auto"

TIMES = {
    "integers": [0, 1, 3, 7],
    "floats": [0.1, 0.2, 0.4, 0.8],
    "dates": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-08"]),
    "zoned dates": pd.date_range("2024-01-01", periods=8, tz="UTC")[[0, 1, 3, 7]],
    "text": ["2024-01-01 00:00", "2024-01-01 00:05", "2024-01-01 00:15", "2024-01-01 00:35"],
    "durations": pd.to_timedelta([0, 1, 3, 7], unit="h"),
    "periods": pd.PeriodIndex(["2024-01", "2024-02", "2024-04", "2024-08"], freq="M"),
}


@pytest.mark.parametrize("kind", TIMES)
def test_the_shortest_gap_is_one_step_whatever_the_times_are(kind):
    times = pd.Series(TIMES[kind])
    assert steps_of(times).tolist() == [0, 1, 3, 7]
    assert steps_of(times[[2, 0, 3, 1]].reset_index(drop=True)).tolist() == [3, 0, 7, 1]


def test_the_step_is_the_shortest_gap_of_all_series():
    assert steps_of([0, 4, 10, 12], [0, 0, 1, 1]).tolist() == [0, 2, 0, 1]


def test_series_of_one_row_have_one_step():
    assert steps_of([5, 7], [0, 1]).tolist() == [0, 0]
    assert steps_of([5, 7], [0, 1], EvenStep(3)).tolist() == [0, 0]


def test_many_decimal_steps_do_not_drift():
    times = np.delete(0.1 * np.arange(100_000), 50_000)
    np.testing.assert_array_equal(steps_of(times), np.delete(np.arange(100_000), 50_000))


def test_irregular_times_name_the_gap_and_both_ways_out():
    message = error([0.0, 1.0, 2.4])
    assert "series a is irregular: the gap from 1.0 to 2.4 is 1.4 times the shortest" in message
    assert "step=..." in message
    assert "step=None" in message


@pytest.mark.parametrize("step", ["auto", None, EvenStep(1)])
def test_a_repeated_time_is_named(step):
    message = error([3, 0, 1, 1], [1, 0, 0, 0], step)
    assert message.startswith("series a has more than one row at time 1, among them row 3")
    assert "step=..." in message


# Other steps


def test_none_takes_the_rows_in_order_of_time():
    assert steps_of([7.0, 0.5, 0.0, 3.0], [0, 1, 0, 0], None).tolist() == [2, 0, 0, 1]


@pytest.mark.parametrize("kind", ["numbers", "dates", "durations"])
def test_a_step_moves_rows_to_the_nearest_point_of_a_grid(kind):
    times, step = pd.Series([10.0, 10.9, 11.2, 14.1, 20.0]), 1
    if kind != "numbers":
        times, step = pd.to_timedelta(times, unit="h"), "1h"
    if kind == "dates":
        times = pd.Timestamp("2024-01-01") + times
    assert steps_of(times, [0, 0, 0, 0, 1], step).tolist() == [0, 1, 1, 4, 0]


def test_a_step_found_elsewhere_has_to_divide_every_gap():
    assert steps_of([0, 2, 6], step=EvenStep(2)).tolist() == [0, 1, 3]
    assert steps_of([0, 2, 6], step=EvenStep(1)).tolist() == [0, 2, 6]
    assert "times the shortest gap" in error([0, 2, 6], step=EvenStep(3))


@pytest.mark.parametrize("step", [0, -1.0, np.nan, np.inf, "hour", "5 parsecs"])
def test_a_value_that_is_not_a_step_is_rejected(step):
    message = error([0, 1], step=step)
    assert message.startswith(f"step={step!r}; ")
    assert "'auto' or None" in message


def test_a_number_without_a_unit_is_not_a_duration():
    message = error(pd.to_datetime(["2024-01-01", "2024-01-02"]), step=3600)
    assert message.startswith("step=3600; pass a duration such as '1h'")


@pytest.mark.parametrize(
    ("times", "codes", "gap"),
    [
        ([0, 4, 10, 12], [0, 0, 1, 1], 2),
        (pd.to_datetime(["2024-01-03", "2024-01-01"]), [0, 0], pd.Timedelta("2D")),
        ([0, 4], [0, 1], None),
        ([4, 4], [0, 0], None),
    ],
)
def test_the_shortest_gap_is_a_number_or_a_duration(times, codes, gap):
    assert shortest_gap(np.array(codes), pd.Series(times)) == gap


# What is not a time


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ([0, np.nan, 2], "row 1 has no time point (hour is nan)"),
        (pd.to_datetime(["2024-01-01", None]), "row 1 has no time point (hour is NaT)"),
        ([0, 1, -np.inf], "row 2 has an infinite time point (hour is -inf)"),
    ],
)
def test_rows_without_a_time_are_named(times, says):
    message = error(times)
    assert message.startswith(says)
    assert "Drop the row" in message


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (["2024-01-01", "noon"], "have dtype str (row 1 has noon)"),
        ([True, False], "have dtype bool (row 0 has True)"),
    ],
)
def test_other_dtypes_are_named_with_the_conversion(times, says):
    message = error(times, error=InputTypeError)
    assert message.startswith(f"the time points in 'hour' {says}")
    assert "pandas.to_datetime" in message
    assert "time=None" in message


def test_stray_times_do_not_fill_the_memory():
    lengths = steps_of([0, 1, 10**12]).max() + 1
    message = error_of(check_density, np.array([lengths, 2]), 5, IDS)
    assert "series a would have 1000000000001 timesteps" in message
    assert "for only 5 rows" in message
    assert "step=None" in message
