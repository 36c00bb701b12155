"""Time points in all forms: read as they are meant, in a whole table and in parts of it."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from seqfeat.series import as_series, from_long
from tests.series.clock.columns import (
    BERLIN,
    FORMS,
    read,
    steps_in_pairs,
    steps_in_parts,
    steps_of,
)


@pytest.mark.parametrize("form", FORMS)
def test_time_points_of_every_form_are_steps_in_any_order(form):
    times = pd.Series(FORMS[form])
    assert steps_of(times) == [0, 1, 3, 7]
    assert steps_of(times.iloc[[2, 0, 3, 1]].reset_index(drop=True)) == [3, 0, 7, 1]


@pytest.mark.parametrize("step", ["auto", None])
@pytest.mark.parametrize("form", FORMS)
def test_parts_of_a_table_are_read_as_the_whole(form, step):
    assert steps_in_parts(FORMS[form], step) == steps_in_pairs(FORMS[form], step)


@pytest.mark.parametrize(
    ("times", "steps"),
    [
        # Alone, the first two rows would be dates, another order of day and month, or numbers.
        ([20241230, 20241231, 20241229, 20241232], [[0, 1], [0, 3]]),
        (["20241230", "20241231", "20241229", "20241232"], [[0, 1], [0, 3]]),
        (["01/02/2024", "01/03/2024", "13/01/2024", "14/01/2024"], [[0, 29], [0, 1]]),
        (["01/02/2024", "01/03/2024", "01/13/2024", "01/14/2024"], [[0, 1], [0, 1]]),
        (["20240228", "20240302", "20240228T00", "20240229T00"], [[0, 3], [0, 1]]),
        (["1,000", "2,000", "0,500", "1,000"], [[0, 2], [0, 1]]),
    ],
)
def test_what_a_later_part_shows_counts_for_the_earlier_ones(times, steps):
    assert steps_in_parts(times) == steps
    assert steps_in_pairs(times) == steps


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("seconds since 1970", "numbers"),
        ("YYYYMMDD", "dates written as whole numbers (YYYYMMDD)"),
        ("YYYYMMDDHHMMSS", "dates written as whole numbers (YYYYMMDDHHMMSS)"),
        ("YYYYMM", "months written as whole numbers (YYYYMM)"),
        ("UTC", "dates with a zone"),
        ("stamps of two zones", "dates with a zone"),
        ("datetime64", "dates"),
        ("day first", "dates, day first"),
        ("month first", "dates, month first"),
        ("time of day", "durations"),
    ],
)
def test_the_reading_says_what_the_time_points_are(form, name):
    assert read(FORMS[form])[0].name == name


@pytest.mark.parametrize(
    "numbers",
    [
        [20241231, 20241300, 20241301],
        [18990101, 18990102],
        [202400, 202401],
        [20240101.5, 20240102.5],
        [1_700_000_000, 1_700_003_600],
        [1_700_000_000_000, 1_700_003_600_000],
    ],
)
def test_whole_numbers_that_cannot_all_be_dates_are_numbers(numbers):
    reading, clock = read(numbers)
    assert reading.name == "numbers"
    assert np.diff(clock.values).tolist() == np.diff(numbers).tolist()


# Against other readers of dates


def moments(n_moments, seed=0, first="1990-01-01", days=20_000):
    rng = np.random.default_rng(seed)
    microseconds = rng.integers(0, days * 86_400 * 10**6, n_moments)
    return [pd.Timestamp(first) + pd.Timedelta(int(one), unit="us") for one in microseconds]


def assert_same_times(texts, expected, **options):
    """Check the time between texts against that between datetimes."""
    _, clock = read(texts, **options)
    expected = [(one - expected[0]) // dt.timedelta(microseconds=1) for one in expected]
    since_first = (clock.values - clock.values[0]) * clock.unit
    assert (since_first // np.timedelta64(1, "us")).tolist() == expected


OFFSETS = ["", "Z", "+01:00", "-0530", "+14", " +02:00"]


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize(
    "form",
    ["%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S", "%Y%m%dT%H%M%S", "%Y-%m-%d %H:%M", "%Y%m%dT%H"],
)
def test_iso_dates_are_those_of_the_standard_library(form, offset):
    texts = [f"{moment:{form}}{offset}" for moment in moments(50)]
    expected = [dt.datetime.fromisoformat(text.replace(" +", "+")) for text in texts]
    assert_same_times(texts, expected)


def test_every_text_may_have_an_offset_of_its_own():
    texts = [
        f"{moment:%Y-%m-%dT%H:%M:%S}{OFFSETS[1 + place % 4]}"
        for place, moment in enumerate(moments(50))
    ]
    assert_same_times(texts, [dt.datetime.fromisoformat(text) for text in texts])


@pytest.mark.parametrize(
    "form",
    [
        "%d/%m/%Y %H:%M:%S",
        "%m/%d/%Y %I:%M:%S %p",
        "%d-%m-%Y",
        "%d.%m.%Y %H:%M",
        "%d %B %Y, %H:%M",
        "%b %d, %Y",
        "%a, %d %b %Y %H:%M:%S",
        "%Y/%m/%d %H:%M:%S.%f",
        "%Y%m%d%H%M%S",
        "%Y%m%d",
        "%G-W%V-%u",
    ],
)
def test_other_dates_are_those_of_strptime(form):
    texts = [f"{moment:{form}}" for moment in moments(50)]
    assert_same_times(texts, [dt.datetime.strptime(text, form) for text in texts])


def test_dates_of_all_centuries_are_read_and_leap_years_are_known():
    days = [dt.date(year, 3, 1) for year in range(1, 10_000, 37)]
    assert_same_times([day.isoformat() for day in days], days)
    assert_same_times(
        ["1900-02-28", "1900-03-01", "2000-02-28", "2000-03-01"],
        [dt.date(1900, 2, 28), dt.date(1900, 3, 1), dt.date(2000, 2, 28), dt.date(2000, 3, 1)],
    )


@pytest.mark.parametrize("seed", range(3))
def test_durations_are_those_of_pandas(seed):
    seconds = np.random.default_rng(seed).integers(0, 10**6, 40)
    expected = pd.to_timedelta(seconds, unit="s")
    texts = [f"{one // 3600}:{one % 3600 // 60:02}:{one % 60:02}" for one in seconds]
    for column in (texts, list(map(str, expected)), [one.isoformat() for one in expected]):
        _, clock = read(column)
        assert (clock.values * clock.unit // np.timedelta64(1, "s")).tolist() == seconds.tolist()


# Days on the local clock


def as_texts(stamps):
    return [stamp.isoformat() for stamp in stamps]


ZONES = [BERLIN, "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata"]


@pytest.mark.parametrize("write", [pd.Series, as_texts], ids=["stamps", "texts"])
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("time", ["06:00", "12:34:56"])
def test_days_count_on_the_local_clock_over_two_years(zone, time, write):
    days = pd.date_range(f"2016-01-01 {time}", periods=800, freq="D").tz_localize(zone)
    assert steps_of(write(days)) == list(range(800))
    kept = np.sort(np.random.default_rng(0).permutation(799)[:300]) + 1
    kept = np.concatenate([[0, 1], kept[kept > 1]])
    assert steps_of(write(days[kept])) == kept.tolist()


@pytest.mark.parametrize("write", [pd.Series, as_texts], ids=["stamps", "texts"])
@pytest.mark.parametrize("zone", ZONES)
def test_hours_are_real_hours_over_two_years(zone, write):
    hours = pd.date_range("2016-01-01", periods=800 * 4, freq="6h", tz=zone)
    assert steps_of(write(hours)) == list(range(800 * 4))


def test_a_part_without_a_change_of_clocks_counts_days_as_the_whole_does():
    days = pd.date_range("2022-10-28", periods=6, freq="D", tz=BERLIN)
    assert steps_in_parts(days) == [[0, 1], [0, 1], [0, 1]]
    # Hours in another part: then days are 24 hours in all of them.
    hours = pd.date_range("2022-10-29", periods=2, freq="h", tz=BERLIN)
    assert steps_in_parts(days.append(hours)) == [[0, 24], [0, 25], [0, 24], [0, 1]]


def test_bins_of_local_days():
    days = pd.date_range("2022-10-28", periods=6, freq="D", tz=BERLIN)
    assert steps_of(days, "2D") == [0, 0, 1, 1, 2, 2]
    hours = pd.date_range("2022-10-30", periods=26, freq="h", tz=BERLIN)
    assert steps_of(hours, "1D") == [0] * 24 + [1, 1]


# A format from the user


@pytest.mark.parametrize(
    ("times", "time_format"),
    [
        (["01/02/2024", "02/02/2024", "04/02/2024", "08/02/2024"], "%d/%m/%Y"),
        (["01/02/24", "02/02/24", "04/02/24", "08/02/24"], "%d/%m/%y"),
        ([240228, 240229, 240302, 240306], "%y%m%d"),
        (["2024-060", "2024-061", "2024-063", "2024-067"], "%Y-%j"),
        (["28.2. 10 h +0100", "29.2. 10 h +0100", "2.3. 11 h +0200", "6.3. 11 h +0200"], None),
        (["59:58", "59:59"], "%M:%S"),
        (pd.date_range("2024-01-01", periods=4)[[0, 1, 3]], "%d/%m/%Y"),
    ],
)
def test_a_time_format_reads_texts_and_whole_numbers(times, time_format):
    if time_format is None:
        times, time_format = [f"2024 {text}" for text in times], "%Y %d.%m. %H h %z"
    expected = [0, 1, 3, 7][: len(times)]
    assert steps_of(times, time_format=time_format) == expected
    assert steps_in_parts(times, time_format=time_format) == steps_in_pairs(
        times, time_format=time_format
    )


def test_a_time_format_may_say_what_is_otherwise_certain():
    assert steps_of([20240228, 20240301], time_format="%Y%m%d") == [0, 1]
    as_numbers = [20240101, 20240102, 20240201]
    assert steps_of(as_numbers, time_format="%Y%d%m") == steps_of(
        ["2024-01-01", "2024-02-01", "2024-01-02"]
    )


# Frames


def test_the_clock_of_a_table_is_that_of_a_frame_with_two_levels():
    dates = ["28/02/2024", "29/02/2024", "02/03/2024"]
    index = pd.MultiIndex.from_product([["a", "b"], dates], names=["meter", "day"])
    frame = pd.DataFrame({"load": np.arange(6.0)}, index)
    expected = [0, 1, np.nan, 2], [3, 4, np.nan, 5]
    converted = as_series(frame, missing="mask").values[..., 0]
    np.testing.assert_array_equal(converted, expected)
    X, _ = from_long(frame, "meter", "day")
    np.testing.assert_array_equal([X["a"].ravel(), X["b"].ravel()], expected)
