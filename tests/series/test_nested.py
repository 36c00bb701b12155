"""Tables with one row per series: the same series as those of the long table they come from."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series import as_series, from_long, read, read_batches
from seqfeat.series.nested import from_nested, is_nested, unnest
from tests.series.inputs import assert_series_equal, error_of, padded, unequal_series

NAN = np.nan
ITEMS = unequal_series()
IDS = ["b", "a", "c"]
COLUMNS = {"series_id": "id", "time": "t", "label": "y"}


def nested(cell=list, **columns):
    """Return a table of the unequal series, with cells of any kind."""
    return pd.DataFrame(
        {
            "id": IDS,
            "y": ["001", "NA", "001"],
            "t": [list(range(len(item))) for item in ITEMS],
            "u": [cell(item[:, 0].tolist()) for item in ITEMS],
            "w": [cell(item[:, 1].tolist()) for item in ITEMS],
            **columns,
        }
    )


CELLS = [list, tuple, np.array, pd.Series, pl.Series, pa.array]


# Tables without time points


@pytest.mark.parametrize("cell", CELLS)
def test_cells_are_series_and_columns_channels(cell):
    frame = nested(cell).set_index("id")[["u", "w"]]
    series = as_series(frame)
    np.testing.assert_array_equal(series.values, padded(ITEMS))
    assert series.lengths.tolist() == [4, 2, 5]
    assert series.ids.tolist() == IDS
    assert series.channel_names == ["u", "w"]


def test_cells_may_hold_several_channels():
    frame = pd.DataFrame({"X": [item.tolist() for item in ITEMS]})
    np.testing.assert_array_equal(as_series(frame).values, padded(ITEMS))
    assert as_series(frame).channel_names is None


@pytest.mark.parametrize("form", [pl.from_pandas, pa.Table.from_pandas])
def test_frames_of_other_libraries_are_the_same(form):
    np.testing.assert_array_equal(as_series(form(nested()[["u", "w"]])).values, padded(ITEMS))


def test_missing_values_within_cells_are_nan():
    frame = pd.DataFrame({"u": [[1.0, None, 3.0], [4.0, NAN]]})
    np.testing.assert_array_equal(from_nested(frame)[0][:, 0], [1, NAN, 3])
    np.testing.assert_array_equal(from_nested(frame)[1][:, 0], [4, NAN])


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"u": [1.0, 2.0]}),
        pd.DataFrame({"u": ["ab", "cd"]}),
        pd.DataFrame({"u": [{1, 2}, {3}]}),
        pd.DataFrame({"u": [{"a": 1}]}),
        pd.DataFrame({"u": [None, None]}, dtype=object),
        pd.DataFrame({"u": []}, dtype=object),
        pd.DataFrame(),
    ],
)
def test_other_cells_hold_no_series(frame):
    assert not is_nested(frame)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ([[1.0], [2.0, 3.0], [4.0]], "series a has 1 timesteps in column 'u' and 2 in column 'w'"),
        ([[1.0], None, [4.0]], "series a has None in column 'w'"),
        ([[1.0], NAN, [4.0]], "series a has nan in column 'w'"),
        ([[1.0], [], [4.0]], "series a has an empty list in column 'w'"),
        ([[1.0], ["x"], [4.0]], "series a, column 'w': X has dtype <U1"),
        ([[1.0], [2**53 + 1], [4.0]], "series a, column 'w': X holds the integer"),
        ([[1.0], [[[2.0]]], [4.0]], "series a, column 'w' holds an array of shape (1, 1, 1)"),
        ([1.0, 2.0, 3.0], "column 'w' holds one value in each row, but column 'u' holds a list"),
        (["x", "y", "z"], "column 'w' holds one value in each row"),
    ],
)
def test_errors_name_the_series_and_the_column(column, says):
    frame = pd.DataFrame({"u": [[1.0], [2.0], [3.0]], "w": column}, index=IDS)
    is_text = "X has dtype" in says or "one value" in says
    error = InputTypeError if is_text else InputError
    assert error_of(as_series, frame, error=error).startswith(says)


# Tables with time points


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("with_time", [True, False])
def test_a_table_is_read_as_the_long_one(cell, with_time):
    frame = nested(cell)
    time = "t" if with_time else None
    frame = frame if with_time else frame.drop(columns="t")
    X, y = from_long(frame, "id", time, label="y")
    X_long, y_long = from_long(
        frame.explode(frame.columns[2:].tolist()).infer_objects(), "id", time, label="y"
    )
    assert_series_equal(X, X_long)
    assert y.to_dict() == y_long.to_dict() == {"b": "001", "a": "NA", "c": "001"}


@pytest.mark.parametrize(
    "times",
    [
        [["2024-02-28", "2024-02-29"], ["2024-02-29", "2024-03-01"]],
        [[datetime.date(2024, 2, 28), datetime.date(2024, 2, 29)]] * 2,
        [pd.date_range("2024-02-28", periods=2).to_numpy()] * 2,
        [[20240228, 20240229], [20240229, 20240301]],
    ],
)
def test_time_points_may_be_dates(times):
    frame = pd.DataFrame({"id": ["a", "b"], "t": times, "v": [[1.0, 2.0], [3.0, 4.0]]})
    X, _ = from_long(frame, "id", "t")
    assert [one.ravel().tolist() for one in X] == [[1, 2], [3, 4]]


def test_rows_are_ordered_by_their_time_points():
    frame = pd.DataFrame({"id": ["a"], "t": [[3, 0, 1]], "v": [[4.0, 1.0, 2.0]]})
    np.testing.assert_array_equal(from_long(frame, "id", "t").X["a"].ravel(), [1, 2, NAN, 4])


def test_fault_63_integers_beside_missing_ones_stay_exact():
    frame = pd.DataFrame({"id": ["a"], "t": [[0, 1]], "v": [[2**53 + 1, None]]})
    assert "column 'v'" in error_of(from_long, frame, "id", "t")


def test_a_long_table_is_not_changed():
    frame = pd.DataFrame({"id": ["a", "a"], "t": [0, 1], "v": [1.0, 2.0]})
    assert unnest(frame, "id", "t") is frame


def test_fault_54_a_column_of_lists_in_a_long_table_is_named():
    frame = pd.DataFrame({"id": ["a"] * 2, "t": [0, 1], "v": [1.0, 2.0], "tags": [["x"], ["y"]]})
    message = error_of(from_long, frame, "id", "t", error=InputTypeError)
    assert message.startswith("column 't' holds one value in each row, but column 'tags'")
    X, _ = from_long(frame, "id", "t", channels=["v"])
    assert X["a"].ravel().tolist() == [1, 2]


@pytest.mark.parametrize("channels", [None, ["u", "w"], "u"])
def test_other_columns_are_left_out_or_named(channels):
    frame = nested(age=[1, 2, 3])
    if channels is None:
        message = error_of(from_long, frame, "id", "t", label="y", error=InputTypeError)
        assert message.startswith("column 'age' holds one value")
        return
    X, _ = from_long(frame, "id", "t", channels)
    np.testing.assert_array_equal(X["a"], ITEMS[1][:, : len(channels)])


# Files


@pytest.fixture
def path(tmp_path):
    nested().to_parquet(tmp_path / "nested.parquet")
    return tmp_path / "nested.parquet"


@pytest.mark.parametrize("batch_bytes", [1, 100, 10**6])
def test_files_in_batches_are_the_same_as_whole(path, batch_bytes):
    X, y = read(path, **COLUMNS)
    assert_series_equal(X, from_long(nested(), "id", "t", label="y").X)
    batches = list(read_batches(path, batch_bytes=batch_bytes, **COLUMNS))
    assert_series_equal(pd.concat([batch.X for batch in batches]), X)
    assert pd.concat([batch.y for batch in batches]).to_dict() == y.to_dict()


def test_a_file_without_time_points_is_a_wide_table_of_series(tmp_path):
    path = tmp_path / "nested.parquet"
    nested().drop(columns="t").to_parquet(path)
    X, y = read(path, series_id="id", label="y")
    assert X.index.tolist() == IDS
    np.testing.assert_array_equal(as_series(X).values, padded(ITEMS))
    assert y.tolist() == ["001", "NA", "001"]
    batches = list(read_batches(path, batch_bytes=1, series_id="id", label="y"))
    assert [list(batch.X.index) for batch in batches] == [["b"], ["a"], ["c"]]
