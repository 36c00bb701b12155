import numpy as np
import pandas as pd
import polars as pl
import pytest

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series import as_series, from_long
from tests.series.inputs import assert_series_equal, error_of

CHANNELS = ["load", "heat"]


@pytest.fixture
def series():
    """Twelve series of 1 to 8 timesteps and two channels, by their ids."""
    rng = np.random.default_rng(0)
    return {f"m{index}": rng.normal(size=(index % 8 + 1, 2)) for index in rng.permutation(12)}


@pytest.fixture
def table(series):
    """The series as a long table, in no order."""
    frames = [
        pd.DataFrame(values, columns=CHANNELS).assign(
            meter=name, day=0.1 * np.arange(len(values)), kind=f"kind of {name}"
        )
        for name, values in series.items()
    ]
    return pd.concat(frames).sample(frac=1, random_state=0, ignore_index=True)


def small(**columns):
    return pd.DataFrame({"id": ["a", "a", "a", "b"], "time": [0, 1, 2, 0], "v": 1.0, **columns})


def error(frame, *arguments, **options):
    return error_of(from_long, frame, *arguments, **options)


# Long tables


def test_an_unsorted_table_is_the_series_it_was_made_of(table, series):
    X, y = from_long(table, "meter", "day", CHANNELS, "kind")
    assert X.index.name == "meter"
    assert set(X.index) == set(series)
    for name, values in series.items():
        np.testing.assert_array_equal(X[name], values)
        assert y[name] == f"kind of {name}"


def test_series_and_labels_are_in_order_of_first_appearance(table):
    X, y = from_long(table, "meter", "day", label="kind")
    assert X.index.tolist() == table["meter"].unique().tolist()
    assert y.index.equals(X.index)


def test_frames_of_polars_give_the_same_as_those_of_pandas(table):
    X, y = from_long(table, "meter", "day", CHANNELS, "kind")
    of_polars = from_long(pl.from_pandas(table), "meter", "day", CHANNELS, "kind")
    assert_series_equal(of_polars.X, X)
    assert of_polars.y.tolist() == y.tolist()


def test_named_levels_of_the_index_count_as_columns(table):
    indexed = table.set_index(["meter", "day"])
    expected = from_long(table, "meter", "day", CHANNELS).X
    assert_series_equal(from_long(indexed, "meter", "day", CHANNELS).X, expected)


def test_columns_without_another_role_are_channels_unless_they_are_named():
    frame = small(w=[1, 2, 3, 4], note="x")
    assert from_long(frame[["id", "time", "v", "w"]], "id", "time").X["a"].shape == (3, 2)
    assert from_long(frame, "id", "time", ["w"]).X["a"].ravel().tolist() == [1, 2, 3]
    assert from_long(frame, "id", "time", "w").X["a"].ravel().tolist() == [1, 2, 3]
    message = error(frame, "id", "time", error=InputTypeError)
    assert message.startswith("column 'note' has dtype str")
    assert "label=" in message
    assert "channels=[...]" in message


def test_time_points_without_a_row_become_missing_values():
    frame = pd.DataFrame({"id": list("aab"), "time": [0, 3, 7], "v": [1, 2, 3]})
    frame = pd.concat([frame, pd.DataFrame({"id": ["b"], "time": [8], "v": [4]})])
    X, _ = from_long(frame.iloc[::-1], "id", "time")
    np.testing.assert_array_equal(X["a"].ravel(), [1, np.nan, np.nan, 2])
    np.testing.assert_array_equal(X["b"].ravel(), [3, 4])


def test_rows_that_fall_on_one_step_are_averaged():
    times = [0.0, 0.9, 1.2, 4.1]
    frame = pd.DataFrame({"id": "a", "time": times, "v": [1.0, 2.0, 4.0, 8.0]})
    X, _ = from_long(frame, "id", "time", step=1)
    np.testing.assert_array_equal(X["a"].ravel(), [1.5, 4, np.nan, np.nan, 8])


def test_a_mean_is_that_of_what_was_observed():
    frame = pd.DataFrame(
        {"id": "a", "time": range(6), "v": [1.0, np.nan, 3.0, 5.0, np.nan, np.nan]}
    )
    X, _ = from_long(frame, "id", "time", step=2)
    np.testing.assert_array_equal(X["a"].ravel(), [1, 4, np.nan])


@pytest.mark.parametrize("step", ["1min", "90s", "7min", "1h"])
def test_a_step_resamples_each_series_as_pandas_does(step):
    rng = np.random.default_rng(0)
    seconds = np.concatenate([rng.permutation(6000)[:200] + start for start in (0, 1234, 77)])
    frame = pd.DataFrame({"id": np.repeat(["a", "b", "c"], 200), "v": rng.normal(size=600)})
    frame["time"] = pd.Timestamp("2024-03-31 00:00:07") + pd.to_timedelta(seconds, unit="s")
    frame.loc[::9, "v"] = np.nan
    X, _ = from_long(frame.sample(frac=1, random_state=0), "id", "time", step=step)
    for name, rows in frame.groupby("id"):
        expected = rows.sort_values("time").resample(step, on="time", origin="start")["v"].mean()
        np.testing.assert_allclose(X[name].ravel(), expected, rtol=1e-12)


def test_a_straight_line_stays_straight():
    frame = pd.DataFrame({"id": "a", "time": np.arange(24), "v": np.arange(24.0)})
    for step in (2, 3, 4, 6):
        X, _ = from_long(frame, "id", "time", step=step)
        np.testing.assert_array_equal(np.diff(X["a"].ravel()), np.full(24 // step - 1, step))


def test_without_a_step_irregular_rows_are_timesteps_in_order_of_time():
    frame = pd.DataFrame({"id": "a", "time": [2.4, 0.0, 1.0], "v": [3.0, 1.0, 2.0]})
    assert "is irregular" in error(frame, "id", "time")
    X, _ = from_long(frame, "id", "time", step=None)
    np.testing.assert_array_equal(X["a"].ravel(), [1, 2, 3])


def test_without_a_time_column_rows_stay_in_order():
    frame = pd.DataFrame({"id": ["b", "a", "b"], "v": [1, 2, 3]})
    X, y = from_long(frame, "id", None)
    assert X["b"].ravel().tolist() == [1, 3]
    assert y is None


def test_stray_time_points_do_not_fill_the_memory():
    frame = pd.DataFrame({"id": "a", "time": [0, 1, 10**12], "v": 1.0})
    assert "series a would have 1000000000001 timesteps" in error(frame, "id", "time")


def test_missing_values_stay_missing_and_integers_stay_integers():
    X, _ = from_long(small(v=[1, 2, 3, 4]), "id", "time")
    assert X["a"].dtype == np.int64
    nullable = small(v=pd.array([1, None, 3, 4], dtype="Int64"))
    X, _ = from_long(nullable, "id", "time")
    np.testing.assert_array_equal(X["a"].ravel(), [1, np.nan, 3])


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"id": ["a", None, "a", "b"]}, "row 1 has no series id (id is missing)"),
        ({"time": [0, np.nan, 2, 0]}, "row 1 has no time point (time is nan)"),
        ({"time": [0, 1, 1, 0]}, "series a has more than one row at time 1"),
    ],
)
def test_rows_without_a_place_are_named(columns, says):
    assert error(small(**columns), "id", "time").startswith(says)


def test_columns_that_do_not_exist_are_named_with_those_that_do():
    message = error(small(), "id", "hour")
    assert message.startswith("there is no column 'hour'; the table has 'id', 'time', 'v'.")
    assert "no column 'w'" in error(small(), "id", "time", ["v", "w"])
    many = small(**{f"v{index}": 1.0 for index in range(20)})
    assert "'id', 'time', 'v', 'v0', 'v1', 'v2', ..., 'v18', 'v19'." in error(many, "id", "hour")


def test_columns_of_one_name_are_rejected():
    frame = pd.concat([small(), small()[["v"]]], axis=1)
    assert "more than one column is called 'v'" in error(frame, "id", "time", ["v"])


def test_a_table_without_channels_or_rows_is_rejected():
    message = error(small()[["id", "time"]], "id", "time")
    assert message.startswith("no column is left to be a channel; the table has 'id', 'time'.")
    assert "at least 1 column" in message
    assert error(small().iloc[:0], "id", "time").startswith("the table has 0 rows")


def test_a_series_with_two_labels_is_named():
    message = error(small(label=["x", "x", "z", "y"]), "id", "time", "v", "label")
    assert message.startswith("series a has the labels x and z (row 2) in column 'label'")
    assert "label=None" in message


def test_an_array_is_not_a_long_table():
    message = error(np.zeros((3, 3)), "id", "time", error=InputTypeError)
    assert message.startswith("frame has type ndarray")
    assert "need no conversion" in message


# Frames with an index of series and time


def test_a_frame_with_two_levels_is_the_series_it_was_made_of(table, series):
    frame = table.set_index(["meter", "day"])[CHANNELS]
    converted = as_series(frame)
    assert converted.form == "frame"
    assert converted.ids.tolist() == table["meter"].unique().tolist()
    for row, length, name in zip(converted.values, converted.lengths, converted.ids, strict=True):
        np.testing.assert_array_equal(row[:length], series[name])


def test_missing_rows_of_a_frame_are_missing_values():
    index = pd.MultiIndex.from_tuples([("a", 0), ("a", 1), ("a", 3), ("b", 5)])
    converted = as_series(pd.DataFrame({"v": [1.0, 2.0, 4.0, 5.0]}, index), missing="mask")
    np.testing.assert_array_equal(converted.values[0, :, 0], [1, 2, np.nan, 4])
    np.testing.assert_array_equal(converted.lengths, [4, 1])


def test_frames_with_another_index_are_rejected(table):
    three = table.set_index(["meter", "day", "heat"])[["load"]]
    message = error_of(as_series, three)
    assert message.startswith("X has an index of 3 levels, ['meter', 'day', 'heat']")
    assert "Combine the levels" in message
    assert "a frame of 0 rows and 1 columns" in error_of(as_series, three.droplevel(2).iloc[:0])


# The containers of sktime, as sktime converts them


@pytest.fixture(scope="module")
def convert():
    return pytest.importorskip("sktime.datatypes").convert


def test_arrays_of_sktime_are_the_same_as_frames_and_with_channels_last(convert):
    X = np.random.default_rng(0).normal(size=(4, 3, 5))
    frame = convert(X, from_type="numpy3D", to_type="pd-multiindex")
    np.testing.assert_array_equal(as_series(frame).values, X.transpose(0, 2, 1))


@pytest.mark.parametrize("origin", [0, pd.Timestamp("2020-01-01")])
def test_series_keep_the_order_of_sktime_whatever_their_names_and_times(convert, origin):
    day = 1 if origin == 0 else pd.Timedelta(days=1)
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            rng.normal(size=(number % 5 + 2, 2)),
            index=origin + (7 * number + np.arange(number % 5 + 2)) * day,
        )
        for number in range(20)
    ]
    names = [f"series {number}" for number in rng.permutation(20)]
    frame = pd.concat(parts, keys=names, names=["series", "time"])
    by_sktime = convert(frame, from_type="pd-multiindex", to_type="df-list")
    expected = as_series([part.to_numpy() for part in by_sktime])
    converted = as_series(frame)
    np.testing.assert_array_equal(converted.values, expected.values)
    np.testing.assert_array_equal(converted.values, as_series(parts).values)
    np.testing.assert_array_equal(converted.lengths, expected.lengths)


def test_nested_frames_of_sktime_are_read(convert):
    X = np.random.default_rng(0).normal(size=(4, 3, 5))
    nested = convert(X, from_type="numpy3D", to_type="nested_univ")
    np.testing.assert_array_equal(as_series(nested).values, X.transpose(0, 2, 1))


# Tables of odd kinds (fault 47)


def odd_table(**columns):
    values = {"series": [0, 0, 1, 1], "time": [0, 1, 0, 1], "c": [1.0, 2.0, 3.0, 4.0], **columns}
    return pd.DataFrame(values)


def test_columns_in_another_byte_order_are_read():
    table = odd_table()
    foreign = table.apply(lambda column: column.to_numpy().astype(column.dtype.newbyteorder()))
    assert not foreign["series"].dtype.isnative
    for step in ("auto", 2):
        assert_series_equal(
            from_long(foreign, "series", "time", step=step).X,
            from_long(table, "series", "time", step=step).X,
        )


@pytest.mark.parametrize(
    ("columns", "options", "says"),
    [
        ({"series": [[0], [0], [1], [1]]}, {}, "the series ids in 'series' cannot be compared"),
        ({"time": np.arange(4) + 1j}, {}, "the time points in 'time' have dtype complex128"),
        ({"c": ["a"] * 4}, {}, "column 'c' has dtype"),
        ({}, {"channels": 3}, r"channels=3; pass the name of a column, or a list of names"),
    ],
)
def test_keys_and_channels_of_a_wrong_type_are_rejected(columns, options, says):
    with pytest.raises(InputTypeError, match=says):
        from_long(odd_table(**columns), "series", "time", **options)


@pytest.mark.parametrize("ids", [[1, True], [1, 1.0], [0.0, False], [np.int64(1), np.True_]])
def test_fault_52_names_that_python_holds_equal_are_not_merged(ids):
    table = odd_table(series=pd.Series([*ids, "x", "x"], dtype=object))
    message = error_of(from_long, table, "series", "time")
    assert f"the series ids {ids[0]!r} (row 0) and {ids[1]!r} (row 1)" in message


def test_names_of_several_kinds_are_kept():
    table = odd_table(series=pd.Series([1, np.int64(1), "1", "1"], dtype=object))
    assert from_long(table, "series", "time").X.index.tolist() == [1, "1"]


def test_single_columns_are_no_tables():
    column = pl.Series([[True], [False]])
    message = error_of(from_long, column, "series", "time", error=InputTypeError)
    assert message.startswith("frame has type Series and cannot be read as a table")


@pytest.mark.parametrize("step", ["auto", 1e-300, 1])
def test_steps_beyond_64_bits_are_too_many(step):
    table = odd_table(time=[0.0, 1e-300, 0.0, 1e300])
    with pytest.raises(InputError, match="would have 1099511627777 timesteps"):
        from_long(table, "series", "time", step=step)


def test_a_time_format_without_times_is_rejected():
    message = error(small(), "id", None, "v", time_format="%Y")
    assert message.startswith("time_format='%Y' says how time points are written, and no column")
