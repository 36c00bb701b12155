import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from seqfeat.exceptions import InputError, InputTypeError, LayoutWarning, SeqfeatError
from seqfeat.series import Series, as_series, warn_if_transposed
from seqfeat.series import series as series_module

NAN = np.nan


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def unequal(n_channels=2):
    return [numbers(length, n_channels, seed=length) for length in (4, 2, 5)]


def as_object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def padded(items):
    """Series of unequal length as one array, built with pandas as the oracle."""
    frames = [pd.DataFrame(item) for item in items]
    longest = max(map(len, frames))
    return np.stack([frame.reindex(range(longest)).to_numpy() for frame in frames])


def assert_holds(series, items, form):
    """Each series' values and length are those of `items`, and NaN is all behind them."""
    assert series.form == form
    assert len(series) == len(items)
    assert series.lengths.dtype == np.int64
    np.testing.assert_array_equal(series.lengths, [len(item) for item in items])
    np.testing.assert_array_equal(series.values, padded(items))


def refusal(X, error=InputError, **options):
    """Return the message with which `X` is refused, in seqfeat's type and in Python's."""
    with pytest.raises(error) as caught:
        as_series(X, **options)
    assert isinstance(caught.value, SeqfeatError)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError) == (error is InputTypeError)
    return str(caught.value)


# Forms of the input


def test_a_3d_array_is_taken_as_it_is():
    X = numbers(3, 4, 2)
    series = as_series(X)
    assert_holds(series, X, "array")
    assert np.shares_memory(series.values, X)
    assert (series.n_timesteps, series.n_channels) == (4, 2)


def test_a_table_has_one_channel():
    X = numbers(3, 4)
    series = as_series(X)
    assert_holds(series, X[:, :, None], "table")
    assert np.shares_memory(series.values, X)


@pytest.mark.parametrize("collect", [list, tuple, as_object_array])
def test_a_collection_of_unequal_series(collect):
    items = unequal()
    assert_holds(as_series(collect(items)), items, "list")


@pytest.mark.parametrize("collect", [list, tuple, as_object_array])
def test_a_collection_of_unequal_series_of_one_channel(collect):
    items = [item[:, 0] for item in unequal()]
    assert_holds(as_series(collect(items)), [item[:, None] for item in items], "list")


def test_series_with_and_without_a_channel_axis_mix():
    items = [numbers(3), numbers(2, 1, seed=1)]
    assert_holds(as_series(items), [items[0][:, None], items[1]], "list")


def test_a_list_of_equal_series_stays_a_list():
    items = [numbers(4, 2, seed=seed) for seed in range(3)]
    series = as_series(items)
    assert_holds(series, items, "list")
    assert series.is_dense


def test_a_list_of_one_series():
    assert_holds(as_series([numbers(4, 2)]), [numbers(4, 2)], "list")


def test_regular_nested_lists_are_a_table_or_an_array():
    table, array = numbers(3, 4), numbers(3, 4, 2)
    assert_holds(as_series(table.tolist()), table[:, :, None], "table")
    assert_holds(as_series(array.tolist()), array, "array")


def test_ragged_nested_lists_are_a_list():
    items = unequal()
    assert_holds(as_series([item.tolist() for item in items]), items, "list")
    flat = as_series([[1, 2, 3], (4, 5)])
    assert_holds(flat, [[[1], [2], [3]], [[4], [5]]], "list")


def test_an_object_array_of_numbers_is_a_table():
    X = np.array([[1, 2.5], [np.float32(3), True]], dtype=object)
    series = as_series(X)
    assert series.values.dtype == np.float64
    assert_holds(series, np.array([[1, 2.5], [3, 1]])[:, :, None], "table")


def test_a_frame_is_a_table():
    X = numbers(3, 4)
    assert_holds(as_series(pd.DataFrame(X)), X[:, :, None], "table")


def test_a_frame_of_several_dtypes_is_a_table():
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": [True, False]})
    assert_holds(as_series(frame), frame.to_numpy(dtype=float)[:, :, None], "table")


@pytest.mark.parametrize("dtype", ["Int64", "Float64"])
def test_nullable_numbers_of_pandas_are_read_with_na_as_nan(dtype):
    frame = pd.DataFrame({"a": [1, 2], "b": [3, None]}, dtype=dtype)
    series = as_series(frame, missing="mask")
    assert_holds(series, [[[1.0], [3.0]], [[2.0]]], "table")
    assert "series 1 has NaN at timestep 1" in refusal(frame)


def test_a_list_of_frames_and_pandas_series():
    items = unequal()
    assert_holds(as_series([pd.DataFrame(item) for item in items]), items, "list")
    columns = [pd.Series(item[:, 0]) for item in items]
    assert_holds(as_series(columns), [item[:, :1] for item in items], "list")


# Numbers keep their dtype


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint16", "bool"])
@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2)])
def test_an_array_keeps_its_dtype_and_is_no_copy(dtype, shape):
    X = (numbers(*shape) > 0).astype(dtype)
    series = as_series(X)
    assert series.values.dtype == dtype
    assert np.shares_memory(series.values, X)


def test_half_precision_becomes_float32():
    X = numbers(3, 4).astype(np.float16)
    series = as_series(X)
    assert series.values.dtype == np.float32
    np.testing.assert_array_equal(series.values[:, :, 0], X)


def test_extended_precision_becomes_float64():
    series = as_series(numbers(3, 4).astype(np.longdouble))
    assert series.values.dtype == np.float64
    np.testing.assert_array_equal(series.values[:, :, 0], numbers(3, 4))


def test_a_list_of_float32_series_stays_float32():
    items = [item.astype(np.float32) for item in unequal()]
    assert as_series(items).values.dtype == np.float32


def test_a_list_of_unequal_whole_numbers_becomes_float64():
    series = as_series([np.array([1, 2, 2**40 + 1]), np.array([3])])
    assert series.values.dtype == np.float64
    assert series.values[0, 2, 0] == 2**40 + 1


def test_a_list_takes_the_common_dtype():
    items = [np.ones(3, dtype=np.float32), np.full(2, 1 / 3)]
    series = as_series(items)
    assert series.values.dtype == np.float64
    assert series.values[1, 0, 0] == 1 / 3


# No copy and no write


def test_a_read_only_array_is_viewed():
    X = numbers(3, 4, 2)
    X.flags.writeable = False
    assert np.shares_memory(as_series(X).values, X)


def test_a_memory_mapped_array_is_viewed(tmp_path):
    np.save(tmp_path / "X.npy", numbers(3, 4, 2).astype(np.float32))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    series = as_series(X)
    assert np.shares_memory(series.values, X)
    assert not series.values.flags.writeable
    np.testing.assert_array_equal(series.values, X)


@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda X: X[::-1, ::-1], lambda X: X[:, ::2], lambda X: X[..., :1]],
)
def test_other_memory_layouts_are_viewed(layout):
    X = layout(numbers(4, 6, 3))
    series = as_series(X)
    assert np.shares_memory(series.values, X)
    assert_holds(series, X, "array")


def test_masking_neither_copies_nor_writes():
    X = numbers(3, 4, 2)
    X[1, 2:] = NAN
    X[2, 0, 1] = NAN
    before = X.copy()
    series = as_series(X, missing="mask")
    assert np.shares_memory(series.values, X)
    np.testing.assert_array_equal(X, before)


def test_the_members_of_a_list_are_not_written():
    items = [np.array([1.0, NAN, NAN]), np.array([NAN, 2.0, 3.0, 4.0])]
    before = [item.copy() for item in items]
    for item in items:
        item.flags.writeable = False
    as_series(items, missing="mask")
    for item, copy in zip(items, before, strict=True):
        np.testing.assert_array_equal(item, copy)


# Missing values


def test_trailing_nan_means_a_shorter_series():
    items = unequal()
    series = as_series(padded(items), missing="mask")
    assert_holds(series, items, "array")
    assert series.is_complete
    assert not series.is_dense


def test_trailing_nan_in_a_table_means_a_shorter_series():
    series = as_series([[1.0, 2.0, NAN], [NAN, 1.0, 2.0]], missing="mask")
    assert series.form == "table"
    np.testing.assert_array_equal(series.lengths, [2, 3])
    assert not series.is_complete


def test_trailing_nan_in_a_list_means_a_shorter_series():
    items = unequal()
    longer = [np.vstack([item, np.full((2, 2), NAN)]) for item in items]
    series = as_series(longer, missing="mask")
    np.testing.assert_array_equal(series.lengths, [4, 2, 5])
    assert series.is_complete


def test_a_series_ends_with_its_last_observed_channel():
    X = numbers(2, 5, 3)
    X[0, 2:, 0] = NAN
    X[0, 3:, 1:] = NAN
    series = as_series(X, missing="mask")
    np.testing.assert_array_equal(series.lengths, [3, 5])
    assert not series.is_complete
    np.testing.assert_array_equal(series.observed, ~np.isnan(X))


def test_leading_and_interior_nan_are_missing_values():
    X = numbers(2, 5, 1)
    X[0, 0] = X[1, 2] = NAN
    series = as_series(X, missing="mask")
    np.testing.assert_array_equal(series.lengths, [5, 5])
    assert not series.is_complete
    np.testing.assert_array_equal(series.observed, ~np.isnan(X))


def test_a_channel_may_be_missing_altogether():
    X = numbers(2, 3, 2)
    X[:, :, 1] = NAN
    series = as_series(X, missing="mask")
    np.testing.assert_array_equal(series.lengths, [3, 3])
    np.testing.assert_array_equal(series.observed[:, :, 1], False)


def test_one_observed_value_is_enough():
    X = np.full((1, 4, 2), NAN)
    X[0, 2, 1] = 1.0
    np.testing.assert_array_equal(as_series(X, missing="mask").lengths, [3])


def test_mask_without_nan_is_dense():
    series = as_series(numbers(2, 3, 1), missing="mask")
    assert series.is_dense
    assert series.observed is None


def test_lists_of_unequal_length_need_no_mask():
    series = as_series(unequal(), missing="error")
    assert series.is_complete
    assert not series.is_dense
    np.testing.assert_array_equal(series.observed, ~np.isnan(padded(unequal())))


@pytest.mark.parametrize("rows_in_a_block", [1, 2, 3, 100])
def test_blocks_do_not_change_what_is_found(monkeypatch, rows_in_a_block):
    rng = np.random.default_rng(3)
    X = numbers(7, 5, 2)
    X[rng.random(X.shape) < 0.4] = NAN
    X[:, 0, 0] = 1.0
    ends = [np.flatnonzero(~np.isnan(row).all(axis=1))[-1] + 1 for row in X]
    monkeypatch.setattr(series_module, "BLOCK_BYTES", rows_in_a_block * 5 * 2 * 8)
    series = as_series(X, missing="mask")
    np.testing.assert_array_equal(series.lengths, ends)
    missing_inside = any(np.isnan(row[:end]).any() for row, end in zip(X, ends, strict=True))
    assert series.is_complete != missing_inside


def test_a_missing_value_in_an_early_block_is_not_forgotten(monkeypatch):
    monkeypatch.setattr(series_module, "BLOCK_BYTES", 1)
    X = numbers(3, 4, 1)
    X[0, 1] = NAN
    X[2, 3] = NAN
    series = as_series(X, missing="mask")
    assert not series.is_complete
    np.testing.assert_array_equal(series.lengths, [4, 4, 3])


def test_errors_in_later_blocks_name_the_series(monkeypatch):
    monkeypatch.setattr(series_module, "BLOCK_BYTES", 2 * 4 * 8)
    X = numbers(7, 4)
    X[5, 1] = NAN
    assert "series 5 has NaN at timestep 1" in refusal(X)
    X[5, 1] = np.inf
    assert "series 5 has inf at timestep 1" in refusal(X)
    X[5] = NAN
    assert "series 5 holds nothing but NaN" in refusal(X, missing="mask")


# What a Series does


def test_blocks_cover_every_row_once(monkeypatch):
    monkeypatch.setattr(series_module, "BLOCK_BYTES", 3 * 4 * 2 * 8)
    blocks = list(as_series(numbers(8, 4, 2)).blocks())
    assert [block.stop - block.start for block in blocks] == [3, 3, 2]
    rows = np.concatenate([np.arange(8)[block] for block in blocks])
    np.testing.assert_array_equal(rows, np.arange(8))


def test_a_block_holds_at_least_one_series(monkeypatch):
    monkeypatch.setattr(series_module, "BLOCK_BYTES", 1)
    assert list(as_series(numbers(2, 4, 2)).blocks()) == [slice(0, 1), slice(1, 2)]


def test_take_copies_the_rows_asked_for():
    items = unequal()
    series = as_series(items)
    taken = series.take(np.array([2, 0]))
    np.testing.assert_array_equal(taken.lengths, [5, 4])
    np.testing.assert_array_equal(taken.values, series.values[[2, 0]])
    assert not np.shares_memory(taken.values, series.values)
    assert (taken.form, taken.is_complete) == (series.form, series.is_complete)


def test_take_of_equally_long_series_is_dense():
    series = as_series([numbers(3, 1), numbers(2, 1), numbers(3, 1)])
    assert not series.is_dense
    assert series.take(np.array([0, 2])).is_dense


def test_take_remembers_missing_values():
    X = numbers(3, 4, 1)
    X[1, 1] = NAN
    taken = as_series(X, missing="mask").take(np.array([1]))
    assert not taken.is_complete
    np.testing.assert_array_equal(taken.observed[0, :, 0], [True, False, True, True])


@pytest.mark.parametrize("X", [numbers(3, 4), numbers(3, 4, 2)])
def test_like_input_returns_the_form_of_an_array(X):
    series = as_series(X)
    np.testing.assert_array_equal(series.like_input(series.values), X)


def test_like_input_returns_a_list_cut_to_length():
    items = unequal()
    series = as_series(items)
    for row, item in zip(series.like_input(series.values), items, strict=True):
        np.testing.assert_array_equal(row, item)


def test_a_series_set_cannot_be_changed():
    series = as_series(numbers(2, 3))
    with pytest.raises(AttributeError):
        series.form = "list"


def test_a_series_set_may_be_built_by_hand():
    series = Series(numbers(2, 3, 1), np.array([3, 2]))
    assert (len(series), series.form, series.is_complete) == (2, "array", True)
    assert not series.is_dense


# Refusals


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("missing", ["error", "mask"])
def test_an_infinity_is_named_with_its_position(value, missing):
    X = numbers(3, 4, 2)
    X[1, 2, 1] = value
    message = refusal(X, missing=missing)
    assert f"series 1 has {value} at timestep 2, channel 1" in message
    assert "missing='mask'" in message


def test_an_infinity_behind_nan_is_found():
    assert "infinity" in refusal([[1.0, NAN, np.inf]], missing="mask")


def test_an_infinity_in_a_list_is_named_with_its_position():
    message = refusal([np.ones(2), np.array([1.0, np.inf, 2.0])])
    assert "series 1 has inf at timestep 1, channel 0" in message


def test_nan_is_named_with_its_position_and_the_way_out():
    X = numbers(3, 4, 2)
    X[2, 1, 0] = NAN
    message = refusal(X)
    assert "series 2 has NaN at timestep 1, channel 0" in message
    assert "missing='mask'" in message


def test_padding_of_a_list_is_not_taken_for_nan_of_the_input():
    message = refusal([np.ones(2), np.array([1.0, 1.0, NAN, 1.0])])
    assert "series 1 has NaN at timestep 2" in message


@pytest.mark.parametrize("collect", [np.stack, list])
def test_a_series_of_nothing_but_nan_is_named(collect):
    message = refusal(collect([np.ones(3), np.full(3, NAN)]), missing="mask")
    assert "series 1 holds nothing but NaN" in message
    assert "Drop it" in message


@pytest.mark.parametrize("shape", [(0, 4, 2), (0, 4), (0,)])
def test_no_series_at_all(shape):
    message = refusal(np.empty(shape))
    assert "0 sample(s)" in message
    assert f"shape={shape}" in message


@pytest.mark.parametrize("shape", [(3, 0, 2), (3, 4, 0), (3, 0)])
def test_series_without_timesteps_or_channels(shape):
    message = refusal(np.empty(shape))
    assert f"shape={shape}" in message
    assert "at least 1 timestep and 1 channel" in message


@pytest.mark.parametrize("empty", [[], ()])
def test_an_empty_list(empty):
    assert "0 sample(s)" in refusal(empty)


@pytest.mark.parametrize("item", [np.empty((0, 2)), np.empty((3, 0)), np.empty(0)])
def test_an_empty_series_in_a_list_is_named(item):
    message = refusal([np.ones((2, 2)), item])
    assert message.startswith(f"series 1 has {len(item)} timesteps")
    assert "Drop it" in message


def test_an_empty_nested_list_is_named():
    assert refusal([[1.0, 2.0], []]).startswith("series 1 has 0 timesteps")


@pytest.mark.parametrize(
    "X",
    [
        [np.ones((2, 3)), np.ones((2, 3)), np.ones((4, 2))],
        [[[1, 1, 1]], [[1, 1, 1]], [[1, 1]]],
        [[[1, 1, 1]], [[1, 1, 1]], [[1, 1], [2, 2]]],
        [np.ones((2, 3)), np.ones((2, 3)), pd.DataFrame(np.ones((4, 2)))],
    ],
)
def test_other_channels_in_a_list_are_named(X):
    assert refusal(X).startswith("series 2 has 2 channels, series 0 has 3")


def test_a_series_with_too_many_axes_in_a_list_is_named():
    message = refusal([np.ones((2, 3)), np.ones((2, 3, 4))])
    assert message.startswith("series 1 has shape (2, 3, 4)")
    assert "(n_timesteps, n_channels)" in message


def test_a_number_among_series_is_named():
    assert refusal([np.ones(3), 2.0]).startswith("series 1 has shape ()")


@pytest.mark.parametrize("X", [[[[1], [2]], [[1], [3, 4]]], [[[1], [2]], [[1], [3, 4], [5]]]])
def test_a_ragged_series_in_nested_lists_is_named(X):
    assert refusal(X).startswith("series 1: X is no regular array")


@pytest.mark.parametrize("shape", [(), (5,)])
def test_too_few_axes_are_explained(shape):
    message = refusal(np.ones(shape))
    assert f"got {len(shape)}D array" in message
    assert "X.reshape(1, -1, 1)" in message
    assert "X.reshape(-1, 1, 1)" in message


def test_too_many_axes_are_explained_by_a_way_out_that_works():
    X = numbers(3, 4, 2, 5)
    message = refusal(X)
    assert "got 4D array instead (shape=(3, 4, 2, 5))" in message
    assert "X.reshape(len(X), X.shape[1], -1)" in message
    assert as_series(X.reshape(len(X), X.shape[1], -1)).n_channels == 10


@pytest.mark.parametrize(
    "X",
    [
        numbers(2, 3) + 1j,
        [[1, 2], [3, 4j]],
        np.array([[1, 2], [3, 4j]], dtype=object),
    ],
)
def test_complex_numbers_are_refused(X):
    message = refusal(X)
    assert "Complex data not supported" in message
    assert "channels" in message


def test_a_complex_series_in_a_list_is_named():
    assert refusal([np.ones(3), np.ones(2) * 1j]).startswith("series 1: Complex")


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_array"])
def test_sparse_input_is_refused(kind):
    message = refusal(getattr(scipy.sparse, kind)(np.eye(3)), InputTypeError)
    assert "X.toarray()" in message


def test_a_sparse_series_in_a_list_is_named():
    message = refusal([np.eye(3), scipy.sparse.csr_array(np.eye(3))], InputTypeError)
    assert message.startswith("series 1: Sparse data")


@pytest.mark.parametrize(
    ("X", "says"),
    [
        (np.array([["1", "2"]]), "dtype <U1"),
        ([["a", "b"], ["c", "d"]], "dtype <U1"),
        (np.array([[b"1", b"2"]]), "dtype |S1"),
        (np.array([[1.0, "2"]], dtype=object), "text '2' at flat position 1"),
        (pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}), "column 'b' has dtype str"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), "datetime64"),
        (np.array([[1]], dtype="timedelta64[s]"), "timedelta64"),
        (np.zeros((2, 3), dtype=[("a", float)]), "'a'"),
        (np.array([[{}, 1.0]], dtype=object), "dict"),
        ({"a": [1.0]}, "dict"),
        ("1.0 2.0", "dtype <U7"),
        (object(), "object"),
    ],
)
def test_what_holds_no_numbers_is_refused_and_never_cast(X, says):
    assert says in refusal(X, InputTypeError)


def test_text_in_a_list_is_named():
    assert refusal([["1", "2"], ["3"]], InputTypeError).startswith("series 0: X has dtype <U1")
    items = [np.ones(2), np.array([1.0, "2"], dtype=object)]
    assert refusal(items, InputTypeError).startswith("series 1: X holds the text '2'")


def test_an_object_array_of_numbers_and_series_is_refused():
    assert "no number" in refusal(as_object_array([1.0, np.ones(3)]))
    assert refusal(as_object_array([np.ones(3), 1.0])).startswith("series 1 has shape ()")


def test_a_masked_array_is_refused_with_a_way_out_that_works():
    X = np.ma.masked_array([[1, 2, 3], [4, 5, 6]], mask=[[0, 0, 1], [0, 0, 0]])
    message = refusal(X, InputTypeError)
    assert "X.astype(float).filled(np.nan) with missing='mask'" in message
    series = as_series(X.astype(float).filled(NAN), missing="mask")
    np.testing.assert_array_equal(series.lengths, [2, 3])


def test_an_unknown_meaning_of_nan_lists_the_known_ones():
    message = refusal(numbers(2, 3), missing="drop")
    assert "'drop'" in message
    assert "'error'" in message
    assert "'mask'" in message


# Channels first


def test_more_channels_than_timesteps_warn_with_the_way_out():
    X = numbers(5, 3, 8)
    with pytest.warns(LayoutWarning, match="3 timesteps and 8 channels") as caught:
        warn_if_transposed(as_series(X))
    assert "from_channels_first(X)" in str(caught[0].message)


@pytest.mark.parametrize("shape", [(5, 8, 3), (5, 3, 3), (5, 1, 1), (5, 1)])
def test_no_more_channels_than_timesteps_do_not_warn(shape):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_transposed(as_series(numbers(*shape)))
    assert not caught
