import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

from seqfeat.exceptions import InputTypeError, LayoutWarning
from seqfeat.series import as_series, from_channels_first, warn_if_transposed
from seqfeat.series.arrays import as_list, from_array, from_list
from tests.series.inputs import (
    as_object_array,
    error_of,
    padded,
    random_values,
    unequal_series,
)

# Arrays


@pytest.mark.parametrize("shape", [(0, 4, 2), (0, 4), (0,)])
def test_an_array_without_series_is_rejected_in_the_words_of_scikit_learn(shape):
    message = error_of(from_array, np.empty(shape))
    assert message.startswith(f"Found array with 0 sample(s) (shape={shape})")


@pytest.mark.parametrize("shape", [(3, 0, 2), (3, 4, 0), (3, 0)])
def test_series_without_timesteps_or_channels_are_rejected(shape):
    message = error_of(from_array, np.empty(shape))
    assert f"shape={shape}" in message
    assert "at least 1 timestep and 1 channel" in message


@pytest.mark.parametrize("shape", [(), (5,)])
def test_too_few_axes_are_explained(shape):
    message = error_of(from_array, np.ones(shape))
    assert f"got {len(shape)}D array instead (shape={shape})" in message
    assert "X.reshape(1, -1, 1)" in message
    assert "X.reshape(-1, 1, 1)" in message


def test_too_many_axes_are_explained_with_a_conversion_that_works():
    X = random_values(3, 4, 2, 5)
    message = error_of(from_array, X)
    assert "got 4D array instead (shape=(3, 4, 2, 5))" in message
    assert "X.reshape(len(X), X.shape[1], -1)" in message
    assert from_array(X.reshape(len(X), X.shape[1], -1)).n_channels == 10


# Lists


@pytest.mark.parametrize("collect", [list, tuple, as_object_array])
@pytest.mark.parametrize("n_axes", [1, 2])
def test_collections_of_series_are_distinguished_from_arrays(collect, n_axes):
    items = [item if n_axes == 2 else item[:, 0] for item in unequal_series()]
    for item, same in zip(as_list(collect(items)), items, strict=True):
        assert item is same


@pytest.mark.parametrize(
    "X",
    [[], (), [[1, 2], [3, 4]], [1, 2], np.ones((3, 4)), np.array([1, 2], dtype=object)],
)
def test_other_inputs_are_not_lists_of_series(X):
    assert as_list(X) is None


def test_equal_series_of_a_list_are_stacked():
    items = [random_values(4, 2, seed=seed) for seed in range(3)]
    series = from_list(items)
    assert series.form == "list"
    assert series.is_dense
    np.testing.assert_array_equal(series.values, items)


def test_a_list_of_one_series_is_not_copied():
    X = random_values(4, 2)
    assert np.shares_memory(from_list([X]).values, X)


def test_unequal_series_are_padded_with_nan():
    series = from_list(unequal_series())
    np.testing.assert_array_equal(series.lengths, [4, 2, 5])
    np.testing.assert_array_equal(series.values, padded(unequal_series()))


def test_series_with_and_without_a_channel_axis_mix():
    series = from_list([random_values(3), random_values(2, 1, seed=1)])
    np.testing.assert_array_equal(series.values[0, :, 0], random_values(3))
    np.testing.assert_array_equal(series.values[1, :2], random_values(2, 1, seed=1))


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([np.ones(3, np.float32), np.ones(2, np.float32)], "float32"),
        ([np.ones(3, np.float32), np.full(2, 1 / 3)], "float64"),
        ([np.array([1, 2, 2**40 + 1]), np.array([3, 4])], "float64"),
    ],
)
def test_unequal_series_take_a_common_dtype_that_holds_nan(items, expected):
    series = from_list(items)
    assert series.values.dtype == expected
    for row, item in zip(series.values[:, :, 0], items, strict=True):
        np.testing.assert_array_equal(row[: len(item)], item)


@pytest.mark.parametrize("item", [np.empty((0, 2)), np.empty((3, 0)), np.empty(0)])
def test_an_empty_series_is_named(item):
    message = error_of(from_list, [np.ones((2, 2)), item])
    assert message.startswith(f"series 1 has {len(item)} timesteps")
    assert "Drop it" in message


@pytest.mark.parametrize(
    "items",
    [
        [np.ones((2, 3)), np.ones((2, 3)), np.ones((4, 2))],
        [[[1, 1, 1]], [[1, 1, 1]], [[1, 1], [2, 2]]],
        [np.ones((2, 3)), np.ones((2, 3)), pd.DataFrame(np.ones((4, 2)))],
    ],
)
def test_a_series_with_other_channels_is_named(items):
    message = error_of(from_list, items)
    assert message.startswith("series 2 has 2 channels, series 0 has 3")
    assert "transpose them" in message


TABLE = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
SWAPPED = TABLE[["y", "x"]]


@pytest.mark.parametrize(
    "form",
    [
        lambda frame: frame,
        pl.from_pandas,
        pa.Table.from_pandas,
        lambda frame: frame.to_dict("list"),
        lambda frame: {name: column.to_numpy() for name, column in frame.items()},
    ],
)
def test_channels_of_frames_are_matched_by_name(form):
    series = from_list([form(TABLE), form(SWAPPED[:1])])
    assert series.values.tolist()[0] == TABLE.to_numpy().tolist()
    assert series.values[1, 0].tolist() == [1.0, 3.0]
    assert series.channel_names == ["x", "y"]


@pytest.mark.parametrize("ids", [None, pd.Index(["a", "b"])])
@pytest.mark.parametrize("columns", [["x", "z"], ["x"], ["x", "x"], ["x", "y", "z"]])
def test_frames_with_other_columns_are_named(ids, columns):
    other = pd.DataFrame(np.ones((2, len(columns))), columns=columns)
    message = error_of(from_list, [TABLE, other], ids)
    names = (1, 0) if ids is None else ("'b'", "'a'")
    assert message.startswith(
        f"series {names[0]} has the columns {columns}, series {names[1]} has ['x', 'y']"
    )
    assert "frame[channels]" in message


def test_frames_among_arrays_have_no_names():
    assert from_list([TABLE, TABLE.to_numpy()]).channel_names is None
    assert from_list([pd.DataFrame(np.ones((2, 2)))]).channel_names is None


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (
            np.ones((2, 3, 4)),
            "series 1 has shape (2, 3, 4); each series of a list must have shape "
            "(n_timesteps, n_channels)",
        ),
        (2.0, "series 1 has shape ()"),
        (None, "series 1 has shape ()"),
        ([[1, 1], [1]], "series 1: X is not a regular array"),
        (np.ones(2) * 1j, "series 1: Complex data not supported"),
    ],
)
def test_an_item_that_is_not_a_series_is_named(item, says):
    assert error_of(from_list, [np.ones(3), item]).startswith(says)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ("abc", "series 1: X has dtype <U3"),
        (np.array([1.0, "2"], dtype=object), "series 1: X holds the text '2' at index (1,)"),
        (scipy.sparse.csr_array(np.eye(3)), "series 1: Sparse data"),
    ],
)
def test_an_item_that_holds_no_numbers_is_named(item, says):
    assert error_of(from_list, [np.ones(3), item], error=InputTypeError).startswith(says)


# Channels first


def test_channels_first_becomes_a_view_with_the_channels_last():
    X = random_values(5, 12, 20)
    series = from_channels_first(X)
    assert series.shape == (5, 20, 12)
    assert np.shares_memory(series, X)
    np.testing.assert_array_equal(series[2, :, 3], X[2, 3])


def test_lists_with_channels_first_become_object_arrays_that_can_be_split():
    items = unequal_series()
    X = from_channels_first([item.T for item in items])
    assert (X.shape, X.dtype) == ((3,), object)
    for series, item in zip(X[1:], items[1:], strict=True):
        np.testing.assert_array_equal(series, item)
    equal = from_channels_first([np.zeros((3, 5)), np.ones((3, 5))])
    assert [item.shape for item in equal] == [(5, 3), (5, 3)]
    assert from_channels_first([np.zeros(4), np.zeros(5)])[1].shape == (5, 1)


@pytest.mark.parametrize("X", [np.zeros((4, 5)), np.zeros(4), np.zeros((2, 2, 2, 2))])
def test_an_array_with_channels_first_needs_three_axes(X):
    message = error_of(from_channels_first, X)
    assert message.startswith(f"X has shape {X.shape}; from_channels_first reads")


def test_series_with_channels_first_need_one_or_two_axes():
    message = error_of(from_channels_first, [np.zeros((2, 3)), np.zeros((2, 3, 4))])
    assert message.startswith("series 1 has shape (2, 3, 4)")
    message = error_of(from_channels_first, [np.zeros(3), "abc"], error=InputTypeError)
    assert message.startswith("series 1: X has dtype <U3")


def test_more_channels_than_timesteps_warn_with_the_way_out():
    X = random_values(5, 3, 8)
    with pytest.warns(LayoutWarning, match="3 timesteps and 8 channels") as caught:
        warn_if_transposed(as_series(X))
    assert "from_channels_first(X)" in str(caught[0].message)


@pytest.mark.parametrize("shape", [(5, 8, 3), (5, 3, 3), (5, 1)])
def test_no_more_channels_than_timesteps_do_not_warn(shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_transposed(as_series(random_values(*shape)))
