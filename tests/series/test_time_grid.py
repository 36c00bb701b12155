import numpy as np
import pandas as pd
import pytest

from seqfeat.series.time_grid import (
    EvenStep,
    StepScan,
    check_density,
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


def test_the_step_is_the_shortest_gap_of_all_series():
    assert steps_of([0, 4, 10, 12], [0, 0, 1, 1]).tolist() == [0, 2, 0, 1]


def test_series_of_one_row_have_one_step():
    assert steps_of([5, 7], [0, 1]).tolist() == [0, 0]
    assert steps_of([5, 7], [0, 1], EvenStep(3)).tolist() == [0, 0]


def test_many_decimal_steps_do_not_drift():
    times = np.delete(0.1 * np.arange(100_000), 50_000)
    np.testing.assert_array_equal(steps_of(times), np.delete(np.arange(100_000), 50_000))


def test_irregular_times_name_the_gap_and_both_ways_out():
    message = error([2.4, 0.0, 1.0])
    assert message.startswith(
        "series a is irregular: the gap from 1.0 (row 2) to 2.4 (row 0) is 1.4 times the shortest "
        "gap of all series, not a whole multiple."
    )
    assert "step=1, to average the rows of each step" in message
    assert "step=None" in message


@pytest.mark.parametrize("freq", ["MS", "QS", "YS"])
def test_calendar_months_are_irregular_and_rows_are_the_way_out(freq):
    dates = pd.date_range("2023-11-01", periods=6, freq=freq)
    message = error(dates)
    assert "series a is irregular: the gap from 20" in message
    assert message.endswith("pass step=None to use the rows themselves as timesteps.")
    assert steps_of(dates, step=None).tolist() == list(range(6))


def test_the_advice_to_average_rows_can_be_followed():
    times = pd.to_datetime(["2024-01-01 10:00", "2024-01-01 10:15", "2024-01-01 10:22"])
    assert "such as step='7min', to average" in error(times)
    assert steps_of(times, step="7min").tolist() == [0, 2, 3]


@pytest.mark.parametrize("step", ["auto", None, EvenStep(1)])
def test_a_repeated_time_is_named(step):
    message = error([3, 0, 1, 1], [1, 0, 0, 0], step)
    assert message.startswith("series a has more than one row at time 1, rows 2 and 3.")
    assert "step=..." in message


# Other steps


def test_none_takes_the_rows_in_order_of_time():
    assert steps_of([7.0, 0.5, 0.0, 3.0], [0, 1, 0, 0], None).tolist() == [2, 0, 0, 1]


def test_bins_begin_at_the_first_time_point_of_each_series():
    times = [12.0, 10.0, 10.9, 11.2, 14.1, 20.5, 21.4]
    assert steps_of(times, [0, 0, 0, 0, 0, 1, 1], 1).tolist() == [2, 0, 0, 1, 4, 0, 0]


@pytest.mark.parametrize(
    ("times", "step"),
    [
        (0.1 * np.arange(10_000), 0.1),
        (1.7e9 + 0.1 * np.arange(10_000), 0.1),
        ((0.1 * np.arange(1000)).astype(np.float32), 0.1),
        (-5 + np.arange(3000) / 3, 1 / 3),
        (np.cumsum(np.full(10_000, 0.7)), 0.7),
        (np.arange(10_000), 1),
        (2**62 + 3 * np.arange(1000), 3),
        (pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(1000) * 100, unit="ms"), "0.1s"),
    ],
)
def test_time_points_at_the_beginning_of_a_bin_belong_to_it_despite_rounding(times, step):
    np.testing.assert_array_equal(steps_of(times, step=step), np.arange(len(times)))
    double = step * 2 if not isinstance(step, str) else pd.Timedelta(step) * 2
    np.testing.assert_array_equal(steps_of(times, step=double), np.arange(len(times)) // 2)


def test_what_is_more_than_rounded_belongs_to_the_bin_before():
    assert steps_of([0.0, 0.999999, 1.0, 1.999999], step=1).tolist() == [0, 0, 1, 1]
    nanosecond = pd.Timedelta(1, unit="ns")
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta([0, 1, 1], unit="h")
    times = times - pd.to_timedelta([0, 1, 0], unit="ns")
    assert steps_of(times, step="1h").tolist() == [0, 0, 1]
    assert steps_of(times, step=pd.Timedelta("1h") - nanosecond).tolist() == [0, 1, 1]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("step", ["7min", "90s", "1h", "36.5s", "24h"])
def test_bins_are_those_of_pandas(step, unit):
    rng = np.random.default_rng(len(step))
    seconds = np.sort(rng.integers(0, 10**5, 500))
    times = (pd.Timestamp("2024-03-30 22:13:07") + pd.to_timedelta(seconds, unit="s")).as_unit(unit)
    frame = pd.DataFrame({"row": np.arange(500)}, index=times.as_unit("ns"))
    counts = frame.resample(step, origin="start")["row"].count()
    expected = np.repeat(np.arange(len(counts)), counts)
    np.testing.assert_array_equal(steps_of(times, step=step), expected)


@pytest.mark.parametrize("step", [0.25, 1, 3.7, np.float32(0.5), "2.5"])
def test_bins_of_numbers_are_those_of_a_loop(step):
    times = np.random.default_rng(0).integers(0, 400, 200) / 4 + 17
    codes = np.arange(200) % 3
    ids = pd.Index(["a", "b", "c"])
    found = steps_by_time(codes, pd.Series(times), ids, step)
    for row, (time, code) in enumerate(zip(times, codes, strict=True)):
        assert found[row] == (time - times[codes == code].min()) // float(step)


def test_a_step_found_elsewhere_has_to_divide_every_gap():
    assert steps_of([0, 2, 6], step=EvenStep(2)).tolist() == [0, 1, 3]
    assert steps_of([0, 2, 6], step=EvenStep(1)).tolist() == [0, 2, 6]
    assert "is 0.6667 times the step of 3, not a whole" in error([0, 2, 6], step=EvenStep(3))


@pytest.mark.parametrize("step", [0, -1.0, np.nan, np.inf])
def test_a_step_that_is_not_positive_is_rejected(step):
    assert error([0, 2], step=step) == (
        f"step={step!r}; a step must be positive and finite, such as step=2, step='auto' or "
        "step=None."
    )


@pytest.mark.parametrize("step", ["hour", "5 parsecs", "1h", pd.Timedelta("1h"), True, [1]])
def test_a_step_of_numbers_has_to_be_a_number(step):
    assert error([0, 2], step=step) == (
        f"step={step!r}; the time points in 'hour' are numbers, so pass a number, in their unit, "
        "such as step=2, step='auto' or step=None."
    )


@pytest.mark.parametrize("step", [3600, 1.0, np.int64(2), True, "hour", "3600", pd.NaT, "1M"])
@pytest.mark.parametrize(
    ("times", "what", "example"),
    [
        (pd.to_datetime(["2024-01-01", "2024-01-03"]), "dates", "2D"),
        (["2024-01-01 00:00", "2024-01-01 00:15"], "dates", "15min"),
        (["2024-01-01 00:00Z", "2024-01-01 06:00Z"], "dates with a zone", "6h"),
        ([20240131, 20240201], "dates written as whole numbers (YYYYMMDD)", "1D"),
        (pd.to_timedelta([0, 250], unit="ms"), "durations", "250ms"),
        (["00:00:00", "00:00:05"], "durations", "5s"),
    ],
)
def test_a_step_of_dates_and_durations_has_to_be_a_duration(times, what, example, step):
    message = error(times, step=step)
    assert message == (
        f"step={step!r}; the time points in 'hour' are {what}, so pass a duration, such as "
        f"step={example!r}, step='auto' or step=None."
    )
    assert steps_of(times, step=example).tolist() == [0, 1]


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
    scan = StepScan()
    scan.update(np.array(codes), pd.Series(times))
    assert scan.length == gap


def test_a_step_from_a_card_fits_dates_in_any_form():
    step = EvenStep("1 days 00:00:00")
    assert steps_of([20240131, 20240201, 20240203], step=step).tolist() == [0, 1, 3]
    days = pd.date_range("2022-10-29", periods=4, freq="D", tz="Europe/Berlin")
    assert steps_of(days, step=step).tolist() == [0, 1, 2, 3]
    assert steps_of(["29/10/2022", "31/10/2022"], step=step).tolist() == [0, 2]
    message = error([20240131, 20240201], step=EvenStep(1))
    assert message.startswith(
        "step=1; the time points in 'hour' are dates written as whole numbers"
    )


def test_stray_times_do_not_fill_the_memory():
    lengths = steps_of([0, 1, 10**12]).max() + 1
    message = error_of(check_density, np.array([lengths, 2]), 5, IDS)
    assert "series a would have 1000000000001 timesteps" in message
    assert "for only 5 rows" in message
    assert "step=None" in message
